"""BLIP-2 and InstructBLIP: an image as a few soft tokens before the prompt of a language model."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs
import torch
from torch import Tensor

from selma_core.data import ChatRequest
from selma_plugins.chat.continuation import as_text
from selma_plugins.judges.loading import Loaded
from selma_plugins.judges.options import Blip2Options, InstructBlipOptions, VisionOptions
from selma_plugins.judges.padding import mask_left, pad_left
from selma_plugins.judges.pictures import pictures, read_picture
from selma_plugins.judges.vision_chat import Ask, VisionChat, Written

Opts = TypeVar("Opts", bound=VisionOptions)


@attrs.frozen(kw_only=True)
class Question:
    """Attributes: picture = its file; text = token ids [L]; instruction = those for the Q-Former, or None."""

    picture: Path
    text: Tensor
    instruction: Tensor | None = None


class PictureMemory:
    """What the vision tower gave for the pictures of the batch before: questions on one image see it once."""

    def __init__(self) -> None:
        self._seen: dict[Path, Tensor] = {}

    def encode(self, loaded: Loaded, paths: Sequence[Path]) -> Tensor:
        """Hidden states [B, N, D] of the vision tower, one row per path."""
        self._seen = {path: self._seen[path] for path in paths if path in self._seen}
        for path in dict.fromkeys(paths):
            if path not in self._seen:
                self._seen[path] = self._see(loaded, path)
        return torch.cat([self._seen[path] for path in paths])

    def clear(self) -> None:
        """Forgets all."""
        self._seen = {}

    @staticmethod
    def _see(loaded: Loaded, path: Path) -> Tensor:
        pixels = loaded.processor.image_processor(read_picture(path), return_tensors="pt")["pixel_values"]
        states: Tensor = loaded.model.vision_model(pixels.to(loaded.model.device, loaded.model.dtype)).last_hidden_state
        return states


def one_picture(request: ChatRequest) -> Path:
    """The picture of a request.

    Raises:
        ValueError: there is none, or several.
    """
    found = pictures(request)
    if len(found) != 1:
        raise ValueError(f"it answers about one image, not {len(found) or 'about text alone'}")
    return found[0]


class SoftPromptChat(VisionChat[Opts]):
    """The prompt is the request's text as given: no template, no role names."""

    def __init__(self, options: Opts) -> None:
        super().__init__(options)
        self._memory = PictureMemory()

    @abstractmethod
    def _soft_tokens(self, loaded: Loaded, states: Tensor, asks: Sequence[Ask]) -> Tensor:
        """Image as input of the language model [B, Q, D], from the vision tower's states [B, N, D']."""

    def _forget(self) -> None:
        super()._forget()
        self._memory.clear()

    def _prepare(self, loaded: Loaded, request: ChatRequest) -> Question:
        picture = one_picture(request)
        self._open(picture)
        return Question(picture=picture, text=ids_of(loaded.tokenizer, as_text(request)))

    def _ends(self, loaded: Loaded) -> frozenset[int]:
        found = loaded.model.language_model.generation_config.eos_token_id
        ids = found if isinstance(found, list) else [found]
        return super()._ends(loaded) | frozenset(i for i in ids if i is not None)

    def _generate(self, loaded: Loaded, asks: Sequence[Ask], settings: dict[str, Any]) -> Written:
        model = loaded.model
        states = self._memory.encode(loaded, [ask.inputs.picture for ask in asks])
        image = self._soft_tokens(loaded, states, asks)
        embed = model.get_input_embeddings()
        texts = [embed(ask.inputs.text.to(model.device)) for ask in asks]
        rows = [torch.cat([image[row].to(text.dtype), text]) for row, text in enumerate(texts)]
        inputs = {"inputs_embeds": pad_left(rows, 0.0), "attention_mask": mask_left(rows)}
        with warnings.catch_warnings():
            # Embeddings alone, without ids: a repetition penalty counts what is said, not what was asked, on purpose.
            warnings.filterwarnings("ignore", message="Passing `repetition_penalty`")
            out = model.language_model.generate(**inputs, **settings, return_dict_in_generate=True, output_logits=True)
        skip = 1 if model.language_model.config.is_encoder_decoder else 0  # the decoder's start token
        first = out.logits[0][:: settings["num_beams"]].float().cpu()
        return Written(tokens=out.sequences[:, skip:].tolist(), first=first)


class Blip2Chat(SoftPromptChat[Blip2Options]):
    """The plugin `blip2`."""

    name = "blip2"
    model_class = "Blip2ForConditionalGeneration"
    types = ("blip-2",)

    def _search(self, request: ChatRequest) -> dict[str, Any]:
        return beams(self._options)

    def _soft_tokens(self, loaded: Loaded, states: Tensor, asks: Sequence[Ask]) -> Tensor:
        model = loaded.model
        queries = model.query_tokens.expand(len(states), -1, -1)
        found = model.qformer(query_embeds=queries, encoder_hidden_states=states.to(queries.dtype)).last_hidden_state
        tokens: Tensor = model.language_projection(found.to(model.language_projection.weight.dtype))
        return tokens


class InstructBlipChat(SoftPromptChat[InstructBlipOptions]):
    """The plugin `instructblip`; its Q-Former reads the question too."""

    name = "instructblip"
    model_class = "InstructBlipForConditionalGeneration"
    types = ("instructblip",)

    def _search(self, request: ChatRequest) -> dict[str, Any]:
        return beams(self._options) | {"max_new_tokens": min(request.max_tokens, self._options.max_length)}

    def _prepare(self, loaded: Loaded, request: ChatRequest) -> Question:
        instruction = ids_of(loaded.processor.qformer_tokenizer, as_text(request))
        return attrs.evolve(super()._prepare(loaded, request), instruction=instruction)

    def _soft_tokens(self, loaded: Loaded, states: Tensor, asks: Sequence[Ask]) -> Tensor:
        model = loaded.model
        queries = model.query_tokens.expand(len(states), -1, -1)
        texts = [ask.inputs.instruction for ask in asks]
        # its positions are absolute: padded on the right
        ids = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True).to(model.device)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(text) for text in texts], batch_first=True)
        seen = torch.cat([torch.ones(queries.shape[:2], dtype=torch.long), mask], dim=1).to(model.device)
        found = model.qformer(
            input_ids=ids, attention_mask=seen, query_embeds=queries, encoder_hidden_states=states.to(queries.dtype)
        ).last_hidden_state[:, : queries.shape[1]]
        tokens: Tensor = model.language_projection(found.to(model.language_projection.weight.dtype))
        return tokens


def beams(options: Blip2Options | InstructBlipOptions) -> dict[str, Any]:
    """Arguments of `generate` for a beam search."""
    found = {"num_beams": options.num_beams, "repetition_penalty": options.repetition_penalty}
    return found | ({"length_penalty": options.length_penalty} if options.num_beams > 1 else {})


def ids_of(tokenizer: Any, text: str) -> Tensor:
    """Token ids [L], special tokens as the tokenizer adds them."""
    ids: Tensor = tokenizer(text, return_tensors="pt").input_ids[0]
    return ids

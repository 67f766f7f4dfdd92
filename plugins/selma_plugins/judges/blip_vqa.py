"""BLIP for visual question answering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from selma_core.data import ChatRequest
from selma_plugins.chat.continuation import as_text
from selma_plugins.judges.blip2 import PictureMemory, Question, ids_of, one_picture
from selma_plugins.judges.loading import Loaded
from selma_plugins.judges.options import BlipVqaOptions
from selma_plugins.judges.vision_chat import Ask, VisionChat, Written


class BlipVqaChat(VisionChat[BlipVqaOptions]):
    """The plugin `blip_vqa`: a short answer, written by a decoder that reads the question as the image explains it."""

    name = "blip_vqa"
    model_class = "BlipForQuestionAnswering"
    types = ("blip",)
    whole_first = True

    def __init__(self, options: BlipVqaOptions) -> None:
        super().__init__(options)
        self._memory = PictureMemory()

    def _forget(self) -> None:
        super()._forget()
        self._memory.clear()

    def _search(self, request: ChatRequest) -> dict[str, Any]:
        return {"num_beams": self._options.num_beams, "repetition_penalty": 1.0}

    def _apart(self, ask: Ask) -> int:
        # transformers' BLIP lets a question's padding be read, so only questions of one length go together
        return len(ask.inputs.text)

    def _ends(self, loaded: Loaded) -> frozenset[int]:
        return frozenset({loaded.model.config.text_config.sep_token_id})

    def _prepare(self, loaded: Loaded, request: ChatRequest) -> Question:
        picture = one_picture(request)
        self._open(picture)
        text = ids_of(loaded.tokenizer, as_text(request))
        room = loaded.model.config.text_config.max_position_embeddings
        if len(text) > room:
            raise ValueError(f"it takes {room} tokens, and the question has {len(text)}")
        return Question(picture=picture, text=text)

    def _generate(self, loaded: Loaded, asks: Sequence[Ask], settings: dict[str, Any]) -> Written:
        model = loaded.model
        states = self._memory.encode(loaded, [ask.inputs.picture for ask in asks])
        ids = torch.stack([ask.inputs.text for ask in asks]).to(model.device)
        seen = torch.ones(states.shape[:2], dtype=torch.long, device=model.device)
        question = model.text_encoder(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            encoder_hidden_states=states,
            encoder_attention_mask=seen,
        ).last_hidden_state
        out = model.text_decoder.generate(
            input_ids=torch.full((len(asks), 1), model.decoder_start_token_id, device=model.device),
            encoder_hidden_states=question,
            encoder_attention_mask=torch.ones_like(ids),
            return_dict_in_generate=True,
            output_logits=True,
            **settings,
        )
        first = out.logits[0][:: settings["num_beams"]].float().cpu()
        return Written(tokens=out.sequences[:, 1:].tolist(), first=first)

"""Vision-language models with a chat template: Qwen-VL, LLaVA, Gemma, InternVL, ..."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import jinja2
import torch
from torch import Tensor

from selma_core.data import ChatRequest, ImagePart, Message
from selma_core.errors import ModelError
from selma_plugins.judges.loading import Loaded
from selma_plugins.judges.options import ImageTextOptions, QwenVLOptions, VisionOptions
from selma_plugins.judges.padding import mask_left, pad_left
from selma_plugins.judges.pictures import pictures
from selma_plugins.judges.vision_chat import Ask, VisionChat, Written

Opts = TypeVar("Opts", bound=VisionOptions)
# One entry per token, so padded with them; everything else is stacked along its first axis.
_PER_TOKEN = frozenset({"token_type_ids", "mm_token_type_ids"})


class TemplateChat(VisionChat[Opts]):
    """Any `AutoModelForImageTextToText`. Text alone, several turns and several images are as the template allows."""

    model_class = "AutoModelForImageTextToText"

    def _template(self) -> dict[str, Any]:
        return {}

    def _image_settings(self, loaded: Loaded) -> dict[str, Any]:
        return {}

    def _prepare(self, loaded: Loaded, request: ChatRequest) -> dict[str, Tensor]:
        processor = loaded.processor
        if not processor.chat_template:
            raise ModelError(f"{self.identity} has no chat template (chat_template.jinja), so it cannot be asked")
        turns = [_turn(message) for message in request.messages]
        try:
            text = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False, **self._template())
        except jinja2.TemplateError as error:
            raise ValueError(f"its chat template refuses the request: {error}") from None
        bos = loaded.tokenizer.bos_token
        settings: dict[str, Any] = {"return_tensors": "pt"}
        if bos and text.startswith(bos):  # the template has written it; a second one would be read as text
            settings["add_special_tokens"] = False
        images = [self._open(path) for path in pictures(request)]
        if images:
            settings |= {"images": [images], "images_kwargs": self._image_settings(loaded)}
        return dict(processor(text=[text], **settings))

    def _generate(self, loaded: Loaded, asks: Sequence[Ask], settings: dict[str, Any]) -> Written:
        tokens: list[list[int]] = [[] for _ in asks]
        first: list[Tensor] = [torch.empty(0) for _ in asks]
        for rows in _alike([ask.inputs for ask in asks]):
            inputs = collate([asks[row].inputs for row in rows], settings["pad_token_id"])
            inputs = {name: _move(value, loaded.model) for name, value in inputs.items()}
            out = loaded.model.generate(**inputs, **settings, return_dict_in_generate=True, output_logits=True)
            written = out.sequences[:, inputs["input_ids"].shape[1] :].tolist()
            for place, row in enumerate(rows):
                tokens[row], first[row] = written[place], out.logits[0][place].float().cpu()
        return Written(tokens=tokens, first=torch.stack(first))


class ImageTextChat(TemplateChat[ImageTextOptions]):
    """The plugin `image_text`."""

    name = "image_text"

    def _template(self) -> dict[str, Any]:
        return self._options.template

    def _image_settings(self, loaded: Loaded) -> dict[str, Any]:
        return self._options.image


class QwenVLChat(TemplateChat[QwenVLOptions]):
    """The plugin `qwen_vl`: pixel limits are on the area of the resized image."""

    name = "qwen_vl"

    def _template(self) -> dict[str, Any]:
        return {"enable_thinking": self._options.thinking}

    def _image_settings(self, loaded: Loaded) -> dict[str, Any]:
        low, high = self._options.min_pixels, self._options.max_pixels
        if not low and not high:
            return {}
        size = loaded.processor.image_processor.size
        return {"size": {"shortest_edge": low or size["shortest_edge"], "longest_edge": high or size["longest_edge"]}}


def collate(rows: Sequence[dict[str, Tensor]], pad: int) -> dict[str, Tensor]:
    """The inputs of single requests (each with a batch axis of 1) as one batch, tokens padded on the left."""
    ids = [row["input_ids"][0] for row in rows]
    batch = {"input_ids": pad_left(ids, pad), "attention_mask": mask_left(ids)}
    for name in rows[0].keys() - batch.keys():
        values = [row[name] for row in rows]
        batch[name] = pad_left([value[0] for value in values], 0) if name in _PER_TOKEN else torch.cat(values)
    return batch


def _alike(inputs: Sequence[dict[str, Tensor]]) -> list[list[int]]:
    """Indices of requests that can be stacked: same inputs, and pictures cut into equally many tiles."""
    groups: dict[Any, list[int]] = {}
    for index, row in enumerate(inputs):
        fixed = {name: value.shape[1:] for name, value in row.items() if name not in _PER_TOKEN}
        fixed |= {name: torch.Size() for name in ("input_ids", "attention_mask")}
        groups.setdefault(tuple(sorted(fixed.items())), []).append(index)
    return list(groups.values())


def _move(value: Tensor, model: Any) -> Tensor:
    return value.to(model.device, model.dtype if value.is_floating_point() else value.dtype)


def _turn(message: Message) -> dict[str, Any]:
    parts = [
        {"type": "image"} if isinstance(part, ImagePart) else {"type": "text", "text": part.text}
        for part in message.parts
    ]
    return {"role": message.role, "content": parts}

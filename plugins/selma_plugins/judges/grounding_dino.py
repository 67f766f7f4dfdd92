"""Grounding DINO (and SAM) as a chat model: asked about an image and a list of things, it replies in JSON.

The last line of the request is a JSON list of things; the reply is {"segments": [{"label", "area", "confidence"}]},
with areas as shares of the image. So a detector, a vision-language model and a program can stand in for each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
import transformers
from PIL.Image import Image

from selma_core.data import ChatReply, ChatRequest
from selma_core.errors import ModelError
from selma_core.pool import borrow
from selma_core.protocols import Context
from selma_plugins.chat.local import find_weights
from selma_plugins.judges.blip2 import one_picture
from selma_plugins.judges.boxes import Box, apart, area, corners
from selma_plugins.judges.loading import Loaded, load, load_weights
from selma_plugins.judges.options import GroundingDinoOptions
from selma_plugins.judges.pictures import read_picture

_CLASS = "AutoModelForZeroShotObjectDetection"
_TYPES = ("grounding-dino", "mm-grounding-dino")
_AT_ONCE = 20  # things in one text: the model reads 256 tokens


@attrs.frozen(kw_only=True)
class _Sam:
    model: Any
    images: Any


class GroundingDinoChat:
    """One request after another; a reply depends on its own request only."""

    def __init__(self, options: GroundingDinoOptions) -> None:
        self._options = options
        self._context: Context | None = None

    @property
    def identity(self) -> str:
        """`grounding_dino:MODEL`, and the SAM."""
        sam = f" + sam:{self._options.sam}" if self._options.sam else ""
        return f"grounding_dino:{self._options.model}{sam}"

    def attach(self, context: Context) -> None:
        """Keeps the context for the models' entries and the device."""
        self._context = context

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        """One reply per request, in order; one without an image or a list of things is an error reply.

        Raises:
            ModelError: a model cannot be had or read.
        """
        return [self._reply(request) for request in requests]

    def _reply(self, request: ChatRequest) -> ChatReply:
        try:
            things, image = _things(request), read_picture(one_picture(request))
        except (ValueError, OSError) as error:
            return ChatReply(error=f"{self.identity}: {error}")
        found = [box for part in _parts(things) for box in self._detect(image, part)]
        kept = [box for thing in things for box in apart([b for b in found if b.label == thing], self._options.overlap)]
        areas = self._areas(image, kept)
        rows = [
            {"label": box.label, "area": round(share, 6), "confidence": round(box.confidence, 6)}
            for box, share in zip(kept, areas, strict=True)
        ]
        return ChatReply(text=json.dumps({"segments": rows}, ensure_ascii=False))

    @torch.no_grad()
    def _detect(self, image: Image, things: Sequence[str]) -> Iterator[Box]:
        loaded = self._dino()
        text = " ".join(f"{thing.replace('.', ' ')}." for thing in things)
        inputs = loaded.processor(images=image, text=text.lower(), return_tensors="pt").to(loaded.model.device)
        inputs["pixel_values"] = inputs["pixel_values"].to(loaded.model.dtype)
        out = loaded.model(**inputs)
        scores = out.logits[0].float().sigmoid()  # [Q, tokens]
        ends = loaded.tokenizer.convert_tokens_to_ids(".")
        spans = _spans(inputs["input_ids"][0].tolist(), ends)
        if len(spans) != len(things):
            raise ModelError(f"{self.identity}: its tokenizer reads {len(spans)} things in '{text}'")
        by_thing = torch.stack([scores[:, a:b].amax(dim=1) for a, b in spans])  # [things, Q]
        confidence, which = by_thing.max(dim=0)
        places = corners(out.pred_boxes[0].float(), image.size)
        for query in (confidence >= self._options.threshold).nonzero()[:, 0].tolist():
            x0, y0, x1, y1 = places[query].tolist()
            yield Box(label=things[int(which[query])], confidence=float(confidence[query]), corners=(x0, y0, x1, y1))

    @torch.no_grad()
    def _areas(self, image: Image, boxes: Sequence[Box]) -> list[float]:
        """Shares of the image: of the masks, or of the boxes."""
        whole = float(image.width * image.height)
        if not boxes or not self._options.sam:
            return [area(box) / whole for box in boxes]
        sam = self._sam()
        inputs = sam.images(image, return_tensors="pt")
        scale = inputs["reshaped_input_sizes"][0].float() / inputs["original_sizes"][0].float()
        prompts = torch.tensor([box.corners for box in boxes]) * scale.flip(0).repeat(2)
        out = sam.model(
            pixel_values=inputs["pixel_values"].to(sam.model.device, sam.model.dtype),
            input_boxes=prompts[None].to(sam.model.device, sam.model.dtype),
            multimask_output=False,
        )
        masks = sam.images.post_process_masks(
            out.pred_masks.float().cpu(), inputs["original_sizes"], inputs["reshaped_input_sizes"]
        )[0]
        return [float(mask.float().mean()) for mask in masks[:, 0]]

    def _dino(self) -> Loaded:
        weights = find_weights(self._options.model, "", self._context)
        key = weights.key(f"transformers:{_CLASS}+processor", self._options.dtype, self._device)
        found: Loaded = borrow(
            self._context,
            key,
            lambda: load(weights.folder, _CLASS, _TYPES, self._options.dtype, self._device),
            self,
        )
        return found

    def _sam(self) -> _Sam:
        weights = find_weights(self._options.sam, "", self._context)
        key = weights.key("transformers:SamModel+images", self._options.dtype, self._device)
        found: _Sam = borrow(self._context, key, lambda: _load_sam(weights.folder, self._options, self._device), self)
        return found

    @property
    def _device(self) -> str:
        return self._context.device if self._context else "cpu"


def _load_sam(folder: Path, options: GroundingDinoOptions, device: str) -> _Sam:
    try:
        model = load_weights(folder, "SamModel", options.dtype, device)
        images = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil", local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
        lines = str(error).strip().splitlines()
        raise ModelError(f"cannot read the SAM in {folder}: {lines[0] if lines else type(error).__name__}") from error
    return _Sam(model=model.to(device).eval(), images=images)


def _things(request: ChatRequest) -> list[str]:
    lines = request.messages[-1].text.strip().splitlines()
    try:
        found = json.loads(lines[-1] if lines else "")
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError("the last line of the request must be a JSON list of things to find")
    things = [text for text in dict.fromkeys(" ".join(one.split()) for one in found) if text.strip(" .")]
    if not things:
        raise ValueError("the list of things to find is empty: name a tagger, or categories")
    return things


def _parts(things: Sequence[str]) -> Iterator[Sequence[str]]:
    return (things[start : start + _AT_ONCE] for start in range(0, len(things), _AT_ONCE))


def _spans(ids: Sequence[int], end: int) -> list[tuple[int, int]]:
    """The places of each thing's tokens: from the first special token to full stop after full stop."""
    stops = [place for place, token in enumerate(ids) if token == end]
    return [(start + 1, stop) for start, stop in zip([0, *stops], stops, strict=False)]

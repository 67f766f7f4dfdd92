"""Pictures and texts of the world as unit vectors in one space, after the two readers of `shapes_judge`.

A vector says of each shape how many there are, and how much of that is of each colour and size; and what the background
is. A picture's is summed over the 16 x 16 places at which its reader may find a centre, so it has a gradient to the
pixels; a text's is what its reader says, evenly spread over what it leaves open. Their cosine is the score. Relations
are not in it: it is a bag of objects, as CLIP's features are said to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from selma_plugins.preference.dense import DenseScorer
from selma_plugins.preference.pixels import open_rgb, to_tensor
from selma_plugins.shapes.judge.reader import ImageReader, Looks, TextReader
from selma_plugins.shapes.scene import CANVAS, COLORS, MAX_OBJECTS, SIZES
from selma_plugins.shapes.train.text import encode


class ShapesScorer(DenseScorer):
    """`DenseScorer` over the world's readers; D = 6 x (1 + 8 + 2) + 3."""

    def __init__(self, image: ImageReader, text: TextReader, encoder: Any, tokenizer: Any, pin: str) -> None:
        self.model, self.tokenizer, self.pin = image, tokenizer, pin
        self._reader, self._encoder = text, encoder
        self.limit, self.side = int(encoder.config.max_position_embeddings), CANVAS
        self.device = next(image.parameters()).device

    @torch.no_grad()
    def features(self, texts: Sequence[str]) -> torch.Tensor:
        """[N, D]; one text at a time, so that none depends on another."""
        return torch.cat([self._said(text) for text in texts])

    def _said(self, text: str) -> torch.Tensor:
        ids = encode(self.tokenizer, [text]).to(self.device)
        end = (ids == self.tokenizer.eos_token_id).int().argmax(1)
        parts, ground = self._reader(self._encoder(ids)[0][:, end[0]])
        counts, colors, sizes, _ = (part.softmax(2) for part in parts)
        number = counts @ torch.arange(MAX_OBJECTS + 1.0, device=self.device)  # [1, 6]
        hues, extents = (_spread(part, count) for part, count in ((colors, len(COLORS)), (sizes, len(SIZES))))
        stated = ground.softmax(1)
        return _feature(number, number[..., None] * hues, number[..., None] * extents, stated[:, 1:])

    def open(self, path: Path) -> torch.Tensor:
        """[3, 64, 64] in [-1, 1]."""
        return self.shrink(to_tensor(open_rgb(path))[None])[0]

    def shrink(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures of another size are averaged down to the world's, or blown up."""
        if images.shape[-2:] != (self.side, self.side):
            images = F.interpolate(images, size=(self.side, self.side), mode="bilinear", antialias=True)
        return images * 2 - 1

    def see(self, pixels: torch.Tensor) -> torch.Tensor:
        """[B, D]."""
        looks: Looks = self.model(pixels)
        there = looks.shapes.softmax(1)[:, :-1].flatten(2)  # [B, 6, 256]
        hues, extents = (part.softmax(1).flatten(2) for part in (looks.colors, looks.sizes))
        joint = [torch.einsum("bsp,bvp->bsv", there, part) for part in (hues, extents)]
        return _feature(there.sum(2), joint[0], joint[1], looks.backgrounds.softmax(1))


def _spread(part: torch.Tensor, count: int) -> torch.Tensor:
    """[1, 6, 1 + values], the first class "open" -> [1, 6, values], the open share given to all alike."""
    return part[..., 1:] + part[..., :1] / count


def _feature(number: torch.Tensor, hues: torch.Tensor, sizes: torch.Tensor, ground: torch.Tensor) -> torch.Tensor:
    """Counts weigh as a colour does; sizes and background, which prompts seldom state, half as much."""
    parts: list[torch.Tensor] = [number, hues.flatten(1), 0.5 * sizes.flatten(1), 0.5 * ground]
    return F.normalize(torch.cat(parts, dim=1), dim=1)

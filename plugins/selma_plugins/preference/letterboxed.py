"""HPSv2's model: a CLIP that sees the whole picture in a black frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from selma_plugins.preference.clip import ClipScorer
from selma_plugins.preference.pixels import letterbox, open_rgb, to_tensor


class LetterboxedScorer(ClipScorer):
    """Files and rewards go through the same code, so their values are equal."""

    def __init__(self, model: Any, tokenizer: Any, pin: str, antialias: bool) -> None:
        super().__init__(model, tokenizer, pin)
        self._antialias = antialias

    def open(self, path: Path) -> torch.Tensor:
        """First a tensor, then resized: the order of the authors' transform."""
        return self.shrink(to_tensor(open_rgb(path))[None])[0]

    def shrink(self, images: torch.Tensor) -> torch.Tensor:
        """See `pixels.letterbox`."""
        return letterbox(images, self.side, self._antialias)

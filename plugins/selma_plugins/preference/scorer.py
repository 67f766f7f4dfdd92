"""The model side of a preference evaluator; its reward uses the same methods, so both compute one thing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch


class Scorer(ABC):
    """A loaded model. B images, S = side of its input.

    Attributes: pin = of its weights; limit = tokens that it reads of a text; device = where it computes.
    """

    pin: str
    limit: int
    device: torch.device

    @abstractmethod
    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, with the special ones, uncut."""

    @abstractmethod
    def encode(self, spec: Mapping[str, Any], texts: Sequence[str]) -> Any:
        """What `parts` needs of a prompt; without gradient."""

    @abstractmethod
    def open(self, path: Path) -> torch.Tensor:
        """An image file -> [3, S, S], prepared as the model's authors prepare it, on the CPU."""

    @abstractmethod
    def shrink(self, images: torch.Tensor) -> torch.Tensor:
        """images [B, 3, H, W] in [0, 1] -> [B, 3, S, S], as `open` prepares a file but with a gradient."""

    @abstractmethod
    def see(self, pixels: torch.Tensor) -> torch.Tensor:
        """[B, 3, S, S] -> what `parts` needs of the images, [B, ...]."""

    @abstractmethod
    def parts(self, seen: torch.Tensor, encoded: Sequence[Any]) -> dict[str, torch.Tensor]:
        """`score` [B], the value to store, and its components [B]; with the gradient of `seen`."""

    def notes(self, seen: torch.Tensor, encoded: Sequence[Any]) -> list[dict[str, Any]]:
        """JSON to store beside the components, one entry per image."""
        return [{} for _ in encoded]

"""What a trainer changes of a denoiser: factors (`lora`), factors and magnitudes (`dora`), or whole weights (`full`).

Whatever was learnt leaves as the difference of weights, in the one form that adapters have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from selma_core.data import ImageItem
from selma_core.seeds import derive_seed
from selma_plugins.training.lora_layers import canonical, insert, scale_of, start_from
from selma_plugins.training.options import LoraOptions

Weights = dict[str, nn.Parameter]


class Tuning(Protocol):
    """One way of tuning, for one training run."""

    def insert(self, denoiser: nn.Module, seed: int, images: Sequence[ImageItem]) -> Weights:
        """Makes the denoiser trainable; the weights that learn, by name, in module order. All others are frozen.

        Raises:
            UserError: when a target ends no module's path.
        """

    def start_from(self, adapter: Path, component: str) -> None:
        """Sets these weights so that the denoiser is the base with an adapter.

        Raises:
            ArtifactError: when the adapter has layers that do not learn here, or that do not fit.
        """

    def tensors(self, kept: Mapping[str, torch.Tensor], component: str) -> dict[str, torch.Tensor]:
        """The tensors of `TrainedAdapter`, fp32, on the CPU, from values of the weights."""

    def card(self) -> dict[str, Any]:
        """What the adapter's card says of the method."""


class LoraTuning:
    """`lora`: B A on each target."""

    def __init__(self, options: LoraOptions) -> None:
        self._options = options
        self._weights: Weights = {}

    def insert(self, denoiser: nn.Module, seed: int, images: Sequence[ImageItem]) -> Weights:
        """Puts PEFT's layers in."""
        self._weights = insert(denoiser, self._options, init_seed(self._options, seed, images))
        return self._weights

    def start_from(self, adapter: Path, component: str) -> None:
        """Takes the adapter's factors over, padded up to the rank."""
        start_from(self._weights, adapter, component, scale_of(self._options))

    def tensors(self, kept: Mapping[str, torch.Tensor], component: str) -> dict[str, torch.Tensor]:
        """The factors themselves, scale folded into B."""
        return canonical(kept, component, scale_of(self._options))

    def card(self) -> dict[str, Any]:
        """Method, rank, alpha and targets."""
        o = self._options
        alpha = o.rank if o.alpha is None else o.alpha
        return {"method": "lora", "rank": o.rank, "alpha": alpha, "targets": list(o.targets)}


def init_seed(options: LoraOptions, seed: int, images: Sequence[ImageItem]) -> int:
    """Where A starts: one place for all experts of a run (as the paper's code had it), or one per image set."""
    if options.init_seed == "shared":
        return seed
    digest = hashlib.sha256("".join(sorted(item.sha256 for item in images)).encode()).hexdigest()
    return derive_seed("lora-init-set", seed, digest)

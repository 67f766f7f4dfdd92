"""A LoRA beside the adapter: one that learns with it, or one from the start adapter that is passed on unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from selma_core.artifacts.adapter import read_layers
from selma_core.data import ImageItem
from selma_plugins.diffusion.fuse import adapted
from selma_plugins.diffusion.loading import denoiser_name
from selma_plugins.training.options import LoraOptions
from selma_plugins.training.tuning import LoraTuning


class Beside:
    """What the denoiser has beside its own weights. Attributes: weights = those that learn, by name; may be none."""

    def __init__(self, pipeline: Any, options: LoraOptions | None, adapter: Path | None) -> None:
        self._pipeline, self._component = pipeline, denoiser_name(pipeline)
        self._tuning = None if options is None else LoraTuning(options)
        self._adapter = adapter if adapter is not None and read_layers(adapter).names() else None
        self.weights: dict[str, nn.Parameter] = {}

    @contextmanager
    def used(self, seed: int, images: Sequence[ImageItem]) -> Iterator[Beside]:
        """The denoiser with its LoRA inside the block.

        Raises:
            ArtifactError: when the start adapter's layers do not fit the model or the options.
        """
        if self._tuning is None:
            with adapted(self._pipeline, self._adapter):
                yield self
            return
        self.weights = self._tuning.insert(getattr(self._pipeline, self._component), seed, images)
        if self._adapter is not None:
            self._tuning.start_from(self._adapter, self._component)
        yield self

    def tensors(self, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The LoRA's tensors for `TrainedAdapter`; none without a LoRA."""
        if self._tuning is not None:
            return self._tuning.tensors({name: kept[name] for name in self.weights}, self._component)
        if self._adapter is None:
            return {}
        layers = read_layers(self._adapter)
        found: dict[str, Tensor] = {}
        for name in layers.names():
            factors = layers.factors(name)
            found |= {f"{name}.lora_A.weight": factors.down, f"{name}.lora_B.weight": factors.up}
        return found

    def card(self) -> dict[str, Any]:
        """What the card says of the LoRA."""
        return {} if self._tuning is None else self._tuning.card()

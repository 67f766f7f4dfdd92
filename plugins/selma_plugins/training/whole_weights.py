"""DoRA and whole weights. What they learn has full rank, and leaves as factors of full rank all the same.

A layer's difference D is stored as D I or I D, which is exact, so the file loads, fuses, exports and merges like any
other LoRA. DoRA's magnitudes are in D: no file has them, as no merge of LoRAs could take them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from selma_core.artifacts.adapter import read_layers
from selma_core.data import ImageItem
from selma_core.errors import ArtifactError
from selma_plugins.training.lora_layers import check_targets, insert, scale_of, start_from
from selma_plugins.training.options import DoraOptions, FullOptions
from selma_plugins.training.tuning import LoraTuning, Weights, init_seed


class DoraTuning:
    """`dora` (arXiv 2402.09353): m V / |V| by rows, V = W0 + scale B A; m, B and A learn."""

    def __init__(self, options: DoraOptions) -> None:
        self._options = options
        self._weights: Weights = {}
        self._bases: dict[str, torch.Tensor] = {}

    def insert(self, denoiser: nn.Module, seed: int, images: Sequence[ImageItem]) -> Weights:
        """Puts PEFT's layers in, with magnitudes."""
        self._weights = insert(denoiser, self._options, init_seed(self._options, seed, images), dora=True)
        for path in self._paths():
            self._bases[path] = denoiser.get_submodule(path).get_parameter("base_layer.weight").detach().float().cpu()
        return self._weights

    @torch.no_grad()
    def start_from(self, adapter: Path, component: str) -> None:
        """Takes the adapter's factors over; the magnitudes follow, so that nothing else changes."""
        start_from(self._weights, adapter, component, scale_of(self._options))
        for path in self._paths():
            magnitude = self._weights[f"{path}.lora_magnitude_vector.weight"]
            magnitude.copy_(_row_norms(self._moved(path, self._weights)).view_as(magnitude))

    @torch.no_grad()
    def tensors(self, kept: Mapping[str, torch.Tensor], component: str) -> dict[str, torch.Tensor]:
        """The difference of the whole weights, magnitudes included."""
        found: dict[str, torch.Tensor] = {}
        for path in self._paths():
            moved = self._moved(path, kept)
            sizes = kept[f"{path}.lora_magnitude_vector.weight"].float().cpu().flatten() / _row_norms(moved)
            delta = moved * sizes.view(-1, *[1] * (moved.dim() - 1)) - self._bases[path]
            found |= full_rank(f"{component}.{path}", delta)
        return found

    def card(self) -> dict[str, Any]:
        """As of LoRA."""
        return {**LoraTuning(self._options).card(), "method": "dora"}

    def _paths(self) -> Iterator[str]:
        end = ".lora_A.weight"
        return (name.removesuffix(end) for name in self._weights if name.endswith(end))

    def _moved(self, path: str, weights: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """V of a layer."""
        up, down = (weights[f"{path}.lora_{part}.weight"].detach().float().cpu().flatten(1) for part in "BA")
        base = self._bases[path]
        return base + scale_of(self._options) * (up @ down).view_as(base)


class FullTuning:
    """`full`: the whole weights of the targets; biases stay."""

    def __init__(self, options: FullOptions) -> None:
        self._options = options
        self._weights: Weights = {}
        self._bases: dict[str, torch.Tensor] = {}

    def insert(self, denoiser: nn.Module, seed: int, images: Sequence[ImageItem]) -> Weights:
        """Makes the weights of the targets trainable, in fp32."""
        del seed, images  # nothing is drawn
        check_targets(denoiser, self._options.targets)
        denoiser.requires_grad_(False)
        for path, module in denoiser.named_modules():
            ends = any(path == end or path.endswith(f".{end}") for end in self._options.targets)
            if ends and isinstance(module, nn.Linear | nn.Conv2d):
                weight = module.get_parameter("weight")
                weight.data = weight.data.float()
                weight.requires_grad_(True)
                self._weights[f"{path}.weight"] = weight
                self._bases[path] = weight.detach().cpu().clone()
        return self._weights

    @torch.no_grad()
    def start_from(self, adapter: Path, component: str) -> None:
        """Adds the adapter's differences to the weights."""
        layers = read_layers(adapter)
        for layer in layers.names():
            path = layer.removeprefix(f"{component}.")
            weight = self._weights.get(f"{path}.weight")
            if weight is None or path == layer:
                raise ArtifactError(
                    f"{adapter}: layer '{layer}' is not trained here; set 'targets' to the adapter's layers"
                )
            factors = layers.factors(layer)
            delta = factors.up.flatten(1) @ factors.down.flatten(1)
            if delta.numel() != weight.numel():
                raise ArtifactError(f"{adapter}: layer '{layer}' is for another model")
            weight.add_(delta.view_as(weight))

    @torch.no_grad()
    def tensors(self, kept: Mapping[str, torch.Tensor], component: str) -> dict[str, torch.Tensor]:
        """The difference of the weights."""
        found: dict[str, torch.Tensor] = {}
        for path, base in self._bases.items():
            found |= full_rank(f"{component}.{path}", kept[f"{path}.weight"].float().cpu() - base)
        return found

    def card(self) -> dict[str, Any]:
        """Method and targets."""
        return {"method": "full", "targets": list(self._options.targets)}


def full_rank(layer: str, delta: torch.Tensor) -> dict[str, torch.Tensor]:
    """A difference of weights as factors of full rank, exact: one of the two is the identity.

    Args:
        delta: [out, in], or [out, in, kh, kw] of a convolution.
    """
    out = delta.shape[0]
    if delta.dim() > 2:
        up, down = torch.eye(out).view(out, out, 1, 1), delta
    elif delta.shape[1] <= out:
        up, down = delta, torch.eye(delta.shape[1])
    else:
        up, down = torch.eye(out), delta
    return {f"{layer}.lora_A.weight": down.contiguous(), f"{layer}.lora_B.weight": up.contiguous()}


def _row_norms(weight: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = torch.linalg.vector_norm(weight.flatten(1), dim=1)
    return found

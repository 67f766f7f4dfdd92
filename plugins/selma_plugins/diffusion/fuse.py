"""Adapters in place: W0 + scale * B A, computed in fp32 and rounded once, and the exact way back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from selma_core.artifacts.adapter import read_layers
from selma_core.errors import ArtifactError
from selma_core.protocols import Factors


@contextmanager
def adapted(pipeline: Any, adapter: Path | None, *, scale: float = 1.0, fused: bool = True) -> Iterator[None]:
    """The pipeline with an adapter inside the block, and bit for bit as before after it.

    Args:
        pipeline: a diffusers pipeline. adapter: a LoRA file, or None. scale: of the delta.
        fused: write the delta into the weights (faster); else run it as PEFT layers, as diffusers does by default.

    Raises:
        ArtifactError: when the adapter has layers that this model lacks, or of other shapes.
    """
    if adapter is None:
        yield
    elif fused:
        kept = fuse(pipeline, adapter, scale)
        try:
            yield
        finally:
            restore(kept)
    else:
        check_fits(pipeline, adapter)
        pipeline.load_lora_weights(adapter.parent, weight_name=adapter.name, adapter_name="selma")
        pipeline.set_adapters("selma", scale)
        try:
            yield
        finally:
            pipeline.unload_lora_weights()


@contextmanager
def served(pipeline: Any, adapters: Sequence[Path], weights: Sequence[float]) -> Iterator[None]:
    """The pipeline with several adapters side by side as PEFT layers, none of them merged: W0 x + sum w_i B_i A_i x.

    The reference for merges: `linear` with the same weights computes the same function.

    Raises:
        ArtifactError: when an adapter has layers that this model lacks, or of other shapes.
    """
    for adapter in adapters:
        check_fits(pipeline, adapter)
    names = [f"selma{place}" for place in range(len(adapters))]
    try:
        for name, adapter in zip(names, adapters, strict=True):
            pipeline.load_lora_weights(adapter.parent, weight_name=adapter.name, adapter_name=name)
        pipeline.set_adapters(names, list(weights))
        yield
    finally:
        pipeline.unload_lora_weights()


@torch.no_grad()
def fuse(pipeline: Any, adapter: Path, scale: float = 1.0) -> list[tuple[nn.Parameter, torch.Tensor]]:
    """Adds a LoRA file to the weights it is for; returns the weights and their former values for `restore`."""
    layers = read_layers(adapter)
    kept: list[tuple[nn.Parameter, torch.Tensor]] = []
    try:
        for name in layers.names():
            weight = find_weight(pipeline, name, adapter)
            delta = dense(layers.factors(name), weight, name, adapter)
            kept.append((weight, weight.detach().clone()))
            weight.copy_(weight.float() + scale * delta)
    except ArtifactError:
        restore(kept)
        raise
    return kept


@torch.no_grad()
def restore(kept: list[tuple[nn.Parameter, torch.Tensor]]) -> None:
    """Puts the former weights back, bit for bit (subtracting the delta would not)."""
    for weight, before in reversed(kept):
        weight.copy_(before)


def dense(factors: Factors, weight: torch.Tensor, name: str, adapter: Path) -> torch.Tensor:
    """B A of one layer in the shape of its weight, fp32, on its device."""
    delta = factors.up.flatten(1).to(weight.device) @ factors.down.flatten(1).to(weight.device)
    if delta.numel() != weight.numel() or delta.shape[0] != weight.shape[0]:
        raise ArtifactError(
            f"{adapter}: layer '{name}' is {list(delta.shape)} but the model's is {list(weight.shape)}: another model?"
        )
    return delta.view(weight.shape)


def find_weight(pipeline: Any, name: str, adapter: Path) -> nn.Parameter:
    """The weight of layer `unet.<path>` (and so on) of a pipeline.

    Raises:
        ArtifactError: when the pipeline has no such layer; the message names it.
    """
    component, path = name.split(".", 1)
    module = getattr(pipeline, component, None)
    # Newer transformers have a text encoder's layers one level higher than files name them.
    for place in (path, path.removeprefix("text_model.")):
        try:
            weight = module.get_submodule(place).weight if isinstance(module, nn.Module) else None
        except AttributeError:
            continue
        if isinstance(weight, nn.Parameter):
            return weight
    raise ArtifactError(f"{adapter}: the model has no layer '{name}'; the adapter is for another model")


def check_fits(pipeline: Any, adapter: Path) -> None:
    """Raises what `fuse` would raise, without changing anything (diffusers itself only warns and goes on)."""
    layers = read_layers(adapter)
    for name in layers.names():
        dense(layers.factors(name), find_weight(pipeline, name, adapter), name, adapter)

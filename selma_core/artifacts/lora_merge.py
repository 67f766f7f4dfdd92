"""Merging adapters layer by layer: no base model, and never more than one layer of all experts at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selma_core.artifacts.lora_reader import LayerReader, read_layers
from selma_core.errors import ArtifactError, UserError
from selma_core.protocols import Factors, LayerJob, MergeStrategy, TrainedAdapter

if TYPE_CHECKING:
    import torch


def merge_adapters(
    strategy: MergeStrategy,
    files: Sequence[Path],
    expert_ids: Sequence[str],
    base: str,
    seed: int,
    out_folder: Path,
    progress: Callable[[int, int], None],
) -> None:
    """Merges LoRA files into an adapter folder.

    Args:
        strategy: how. files: the experts' LoRA files. expert_ids: one stable id each.
        base: id of the model that all experts are for. seed: the run seed.
        out_folder: an existing folder; gets what `write_adapter` writes, fp32.
        progress: called with (layers done, layers in all).

    Raises:
        ArtifactError: for a broken file, or experts of one layer whose shapes differ.
        UserError: when there is nothing to merge, or the weights do not fit the experts.
    """
    from selma_core.artifacts.adapter import write_adapter

    if not files or len(files) != len(expert_ids):
        raise UserError(f"merge: {len(files)} adapters and {len(expert_ids)} ids; it needs at least one of each")
    readers = [read_layers(file) for file in files]
    weights = tuple(strategy.weights(len(files), base))
    if len(weights) != len(files) or not all(map(math.isfinite, weights)):
        raise UserError(f"merge: weights {list(weights)} for {len(files)} experts; give one finite weight each")
    present = [set(reader.names()) for reader in readers]
    layers = sorted(set().union(*present))
    tensors: dict[str, torch.Tensor] = {}
    ratios: dict[str, float] = {}
    for done, layer in enumerate(layers):
        progress(done, len(layers))
        experts = tuple(r.factors(layer) if layer in has else None for r, has in zip(readers, present, strict=True))
        _same_shape(layer, experts, readers)
        job = LayerJob(name=layer, experts=experts, weights=weights, expert_ids=tuple(expert_ids), seed=seed)
        merged = strategy.merge_layer(job)
        if merged is not None:
            tensors[f"{layer}.lora_A.weight"], tensors[f"{layer}.lora_B.weight"] = merged.down, merged.up
            ratios[layer] = _norm_ratio(merged, job)
    progress(len(layers), len(layers))
    card: dict[str, Any] = {
        "base": base,
        "parents": list(expert_ids),
        "weights": list(weights),
        "layers": len(ratios),
        "norm_ratio": ratios,
    }
    write_adapter(out_folder, TrainedAdapter(tensors=tensors, metadata=card))


def _same_shape(layer: str, experts: Sequence[Factors | None], readers: Sequence[LayerReader]) -> None:
    seen: dict[tuple[int, ...], Path] = {}
    for expert, reader in zip(experts, readers, strict=True):
        if expert is not None:
            seen.setdefault((expert.up.shape[0], *expert.down.shape[1:]), reader.file)
    if len(seen) > 1:
        (first, one), (second, other) = list(seen.items())[:2]
        raise ArtifactError(
            f"layer '{layer}' is {list(first)} in {one} and {list(second)} in {other}: experts of different models"
        )


def _norm_ratio(merged: Factors, job: LayerJob) -> float:
    """|D| / |sum w_i D_i|: how far a method changes the scale of the plain weighted sum; 1.0 when both are zero."""
    import torch

    pairs = [(w, e) for w, e in zip(job.weights, job.experts, strict=True) if e is not None]
    up = torch.cat([w * e.up.flatten(1) for w, e in pairs], dim=1)
    down = torch.cat([e.down.flatten(1) for _, e in pairs])
    plain, own = _norm(up, down), _norm(merged.up.flatten(1), merged.down.flatten(1))
    return own / plain if plain > 0 else (1.0 if own == 0 else 0.0)


def _norm(up: torch.Tensor, down: torch.Tensor) -> float:
    """Frobenius norm of up @ down without forming it: tr((up' up)(down down'))."""
    up, down = up.double(), down.double()
    square = float(((up.T @ up) * (down @ down.T)).sum())
    return math.sqrt(max(square, 0.0))

"""Merging LoRA files layer by layer: no base model, and never more than one layer of all experts at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from selma_core.artifacts.adapter import AdapterWriter
from selma_core.artifacts.encoder import learnt_file
from selma_core.artifacts.lora_reader import LayerReader, read_layers
from selma_core.errors import ArtifactError, UserError
from selma_core.merging.encoders import merge_encoders
from selma_core.merging.layer import MergedLayer, merge_layer, prepared
from selma_core.protocols import Factors, LayerJob, MergeStrategy, Surveyor

if TYPE_CHECKING:
    import torch


@attrs.frozen(kw_only=True)
class MergePlan:
    """What a merge of files is made of.

    Attributes:
        strategy: how. files: the experts' LoRA files. expert_ids: one stable id each, for seeded masks.
        base: id of the model that all experts are for. seed: the run seed. dtype: of the tensors written.
        weights: those of a search; None = the strategy's own.
        record: further fields of the card (the strategy's name, its options).
    """

    strategy: MergeStrategy
    files: Sequence[Path]
    expert_ids: Sequence[str]
    base: str
    seed: int = 0
    dtype: str = "float32"
    weights: Sequence[float] | None = None
    record: dict[str, Any] = attrs.field(factory=dict)


def merge_files(
    plan: MergePlan, out: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Any]:
    """Merges LoRA files into one of the canonical form.

    Args:
        out: the safetensors file to write.
        progress: called with (layers done, layers in all).

    Returns:
        The adapter's card: base, parents, weights, norm ratio and retained energy per layer, what `record` holds.

    Raises:
        ArtifactError: for a broken file, experts of one layer whose shapes differ, or text encoders that do not go
            together (`selma_core.merging.encoders`).
        UserError: when there is nothing to merge, or the weights do not fit the experts.
    """
    experts = Experts(plan)
    layers = experts.layers
    encoder = merge_encoders(plan.strategy, plan.files, experts.weights, learnt_file(out))
    merged: dict[str, MergedLayer] = {}
    if isinstance(plan.strategy, Surveyor):
        plan.strategy.survey(lambda: (prepared(plan.strategy, experts.job(layer)) for layer in layers))
    with AdapterWriter(out, _room(layers, plan.record)) as writer:
        for done, layer in enumerate(layers):
            progress(done, len(layers))
            found = merge_layer(plan.strategy, experts.job(layer))
            if found is not None:
                _add(writer, layer, found.factors, plan.dtype)
                merged[layer] = attrs.evolve(found, factors=_NOTHING)
        card = {**_card(plan, experts.weights, merged), **encoder}
        writer.finish(card)
    progress(len(layers), len(layers))
    return card


class Experts:
    """The files of a plan, opened. Attributes: weights = one per expert; layers = the names that any of them has."""

    def __init__(self, plan: MergePlan) -> None:
        self.weights = _weights(plan)
        self._plan = plan
        self._readers = [read_layers(file) for file in plan.files]
        self._present = [set(reader.names()) for reader in self._readers]
        self.layers = sorted(set().union(*self._present))

    def job(self, layer: str) -> LayerJob:
        """A layer of all experts, read now.

        Raises:
            ArtifactError: their shapes differ, or a tensor holds NaN or infinity.
        """
        pairs = zip(self._readers, self._present, strict=True)
        experts = tuple(reader.factors(layer) if layer in has else None for reader, has in pairs)
        _same_shape(layer, experts, self._readers)
        ids = tuple(self._plan.expert_ids)
        return LayerJob(name=layer, experts=experts, weights=self.weights, expert_ids=ids, seed=self._plan.seed)


def _room(layers: Sequence[str], record: dict[str, Any]) -> int:
    """Bytes that the header will hardly be longer than: two entries, a rank and two figures a layer, and the card."""
    return sum(6 * len(layer) + 400 for layer in layers) + len(str(record)) + 8192


# Stands in for factors that are written already: only the figures of a layer are kept.
_NOTHING: Any = None


def _weights(plan: MergePlan) -> tuple[float, ...]:
    count = len(plan.files)
    if not count or count != len(plan.expert_ids):
        raise UserError(f"merge: {count} adapters and {len(plan.expert_ids)} ids; it needs at least one of each")
    weights = tuple(plan.strategy.weights(count, plan.base) if plan.weights is None else plan.weights)
    if len(weights) != count or not all(map(math.isfinite, weights)):
        raise UserError(f"merge: weights {list(weights)} for {count} experts; give one finite weight each")
    return weights


def _add(writer: AdapterWriter, layer: str, factors: Factors, dtype: str) -> None:
    import torch

    kind: torch.dtype = getattr(torch, dtype)
    writer.add(f"{layer}.lora_A.weight", factors.down.to(kind))
    writer.add(f"{layer}.lora_B.weight", factors.up.to(kind))


def _card(plan: MergePlan, weights: Sequence[float], merged: dict[str, MergedLayer]) -> dict[str, Any]:
    return {
        "base": plan.base,
        "parents": list(plan.expert_ids),
        "weights": list(weights),
        **plan.record,
        "layers": len(merged),
        "norm_ratio": {layer: found.norm_ratio for layer, found in merged.items()},
        "retained": {layer: found.retained for layer, found in merged.items()},
    }


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

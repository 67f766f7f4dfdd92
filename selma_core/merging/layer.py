"""One layer of a merge, from the experts' factors to the merged ones, with the settings that all strategies share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs

from selma_core.errors import UserError
from selma_core.merging.algebra import concatenate, exact, flat, norm, present, truncate
from selma_core.merging.blocks import block_factors
from selma_core.merging.options import MergeOptions
from selma_core.protocols import Dense, Factors, LayerJob, MergeStrategy

if TYPE_CHECKING:
    import torch


@attrs.frozen(kw_only=True)
class MergedLayer:
    """What became of a layer.

    Attributes:
        factors: the merged delta, of the experts' own shape (convolutions with four axes).
        norm_ratio: |scale D| / |sum w_i D_i| before `match_norm`: how far a method changes the scale of the sum.
        retained: share of |D|^2 that is left after the cut to `rank`; 1 without one.
    """

    factors: Factors
    norm_ratio: float
    retained: float


def merge_layer(strategy: MergeStrategy, job: LayerJob) -> MergedLayer | None:
    """Merges one layer; None where the strategy drops it or no expert has it.

    Raises:
        UserError: the layer's block is not in `block_weights`, or the result holds NaN or infinity.
    """
    kernel = next((tuple(e.down.shape[2:]) for e in job.experts if e is not None), None)
    if kernel is None:
        return None
    options = getattr(strategy, "options", None)
    settings = options if isinstance(options, MergeOptions) else MergeOptions()
    experts = tuple(None if expert is None else flat(expert) for expert in job.experts)
    flattened = attrs.evolve(job, experts=experts, weights=_weights(job, settings))
    found = strategy.merge_layer(flattened)
    if found is None:
        return None
    found = _times(found, settings.scale)
    plain, own = norm(concatenate(present(flattened))), norm(found)
    if not math.isfinite(own):
        raise UserError(f"layer '{job.name}': the merge gave NaN or infinity")
    ratio = own / plain if plain > 0 else (1.0 if own == 0 else 0.0)
    if settings.match_norm == "linear" and own > 0:
        found = _times(found, abs(settings.scale) * plain / own)
    cut, retained = _compress(found, settings.rank)
    return MergedLayer(factors=_shaped(cut, kernel), norm_ratio=ratio, retained=retained)


def _weights(job: LayerJob, settings: MergeOptions) -> tuple[float, ...]:
    if settings.block_weights is None:
        return job.weights
    factors = block_factors(settings.block_weights, job.name, len(job.weights))
    return tuple(w * factor for w, factor in zip(job.weights, factors, strict=True))


def _times(part: Factors | Dense, factor: float) -> Factors | Dense:
    if factor == 1.0:
        return part
    if isinstance(part, Dense):
        return Dense(delta=part.delta * factor)
    return Factors(up=part.up * factor, down=part.down)


def _compress(part: Factors | Dense, rank: int | None) -> tuple[Factors, float]:
    if rank is not None and (isinstance(part, Dense) or part.down.shape[0] > rank):
        return truncate(part, rank)
    return (exact(part) if isinstance(part, Dense) else part), 1.0


def _shaped(part: Factors, kernel: tuple[int, ...]) -> Factors:
    up: torch.Tensor = part.up.float().contiguous()
    down: torch.Tensor = part.down.float().contiguous()
    if not kernel:
        return Factors(up=up, down=down)
    ones = (1,) * len(kernel)
    channels = down.shape[1] // math.prod(kernel)
    return Factors(up=up.reshape(*up.shape, *ones), down=down.reshape(down.shape[0], channels, *kernel))

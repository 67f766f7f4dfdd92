"""One layer of a merge, from the experts' factors to the merged ones, with the settings that all strategies share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from selma_core.errors import UserError
from selma_core.merging.algebra import concatenate, exact, flat, image, norm, present, truncate
from selma_core.merging.blocks import block_factors
from selma_core.merging.options import MergeOptions
from selma_core.protocols import Dense, Factors, LayerJob, Measured, MergeStrategy

if TYPE_CHECKING:
    import torch


# Images of one vector that differ less, in proportion, are the same delta in fp32.
SAME = 1e-5


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
    settings = _settings(strategy)
    flattened = prepared(strategy, job)
    found = strategy.merge_layer(flattened)
    if found is None:
        return None
    ratio, matching = _compare(found, present(flattened))
    if not math.isfinite(ratio):
        raise UserError(f"layer '{job.name}': the merge gave NaN or infinity")
    found = _times(found, settings.scale * (matching if settings.match_norm == "linear" else 1.0))
    cut, retained = _compress(found, settings.rank)
    return MergedLayer(factors=_shaped(cut, kernel), norm_ratio=ratio * abs(settings.scale), retained=retained)


def prepared(strategy: MergeStrategy, job: LayerJob) -> LayerJob:
    """The job as the strategy gets it: matrices, and the weights of the layer's block."""
    experts = tuple(None if expert is None else flat(expert) for expert in job.experts)
    return attrs.evolve(job, experts=experts, weights=_weights(job, _settings(strategy)))


def _settings(strategy: MergeStrategy) -> MergeOptions:
    options = getattr(strategy, "options", None)
    return options if isinstance(options, MergeOptions) else MergeOptions()


def _compare(found: Factors | Dense, terms: Sequence[tuple[float, Factors]]) -> tuple[float, float]:
    """|D| / |sum w_i D_i|, and what D is to be multiplied by to have the norm of the sum.

    Whether D is the sum itself is seen on the image of one random vector (Freivalds' check): then the norms, which cost
    far more than an exact merge does, are not needed. Both are NaN where D is not finite.
    """
    import torch

    if isinstance(found, Measured):
        return _ratios(found.norm, found.plain)
    columns = terms[0][1].down.shape[1]
    vector = torch.randn(columns, generator=torch.Generator().manual_seed(columns)).to(terms[0][1].down)
    wanted = torch.stack([weight * image(part, vector) for weight, part in terms]).sum(0)
    got = image(found, vector)
    if float((got - wanted).norm()) <= SAME * float(wanted.norm()):
        return 1.0, 1.0
    own = norm(found)
    if not math.isfinite(own):
        return math.nan, math.nan  # before the other norm, which is the dear one
    return _ratios(own, norm(concatenate(terms)))


def _ratios(own: float, plain: float) -> tuple[float, float]:
    if not math.isfinite(own):
        return math.nan, math.nan
    if plain > 0 and own > 0:
        return own / plain, plain / own
    return (1.0, 1.0) if own == plain else (0.0, plain)


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

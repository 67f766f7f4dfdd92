"""The comparisons on one layer: who runs what, and what the results must fulfil."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import torch
from merging_data import strategy
from merging_references import Peft, apart, dense_knots, dense_tsv, over_optimal, peft_ties
from selma_plugins.merging import cache

from selma_core.merging.layer import MergedLayer, merge_layer
from selma_core.protocols import Factors, LayerJob, MergeStrategy

Run = Callable[[], Any]


@attrs.frozen
class Task:
    """A comparison on one layer.

    Attributes:
        against: the other side, in words. start: job -> (theirs, ours), ready to be timed, theirs first.
        check: (job, ours, theirs) -> a figure of merit. limit: the most it may be. figure: its name.
    """

    against: str
    start: Callable[[LayerJob], tuple[Run, Run]]
    check: Callable[[LayerJob, Any, Any], float] | None = None
    limit: float = 0.0
    figure: str = ""


def rank_of(job: LayerJob) -> int:
    """The rank of the experts."""
    assert job.experts[0] is not None
    return job.experts[0].down.shape[0]


def merging(built: MergeStrategy, job: LayerJob) -> Run:
    """Our side."""
    return lambda: merge_layer(built, job)


def svd(job: LayerJob) -> tuple[Run, Run]:
    """To the experts' rank."""
    model, rank = Peft([job]), rank_of(job)
    return lambda: model.merge("svd", svd_rank=rank), merging(strategy("svd", k=rank), job)


def ties(job: LayerJob) -> tuple[Run, Run]:
    """PEFT cuts to a rank, ours stays dense."""
    model = Peft([job])
    return lambda: model.merge("ties_svd", density=0.5), merging(strategy("ties", density=0.5), job)


def reweighted(job: LayerJob) -> tuple[Run, Run]:
    """The first run decomposes and keeps, the second has other weights."""
    built = strategy("svd", k=rank_of(job), cache_mb=4096)
    other = attrs.evolve(job, weights=tuple(0.1 * (i + 1) for i in range(len(job.weights))))

    def first() -> MergedLayer | None:
        cache.clear()
        return merge_layer(built, job)

    return first, merging(built, other)


def reranked(job: LayerJob) -> tuple[Run, Run]:
    """The first run decomposes and keeps, the second cuts to another rank."""
    rank = rank_of(job)
    built, other = (strategy("svd", k=k, cache_mb=4096) for k in (rank, max(1, rank // 2)))

    def first() -> MergedLayer | None:
        cache.clear()
        return merge_layer(built, job)

    return first, merging(other, job)


def difference(job: LayerJob, ours: MergedLayer, theirs: torch.Tensor) -> float:
    """Relative, of the deltas."""
    del job
    return apart(ours.factors.up @ ours.factors.down, theirs)


def knots_difference(job: LayerJob, ours: object, theirs: object) -> float:
    """Of both sides once more, in float64: in fp32 an even vote falls as rounding will, and one such is above 1e-5."""
    del ours, theirs
    parts = [part for part in job.experts if part is not None]
    wide = tuple(Factors(up=part.up.double(), down=part.down.double()) for part in parts)
    exact = attrs.evolve(job, experts=wide)
    found = merge_layer(strategy("knots", density=1.0), exact)
    assert found is not None
    return difference(exact, found, dense_knots(exact).float())


TASKS: dict[str, Task] = {
    "svd": Task("peft svd", svd, lambda job, ours, _: over_optimal(job, ours.factors), 1.0001, "error/optimal"),
    "ties": Task("peft ties_svd", ties),
    "ties_kernel": Task(
        "peft ties kernel", lambda job: (lambda: peft_ties(job, 0.5), merging(strategy("ties", density=0.5), job))
    ),
    "tsv": Task(
        "dense", lambda job: (lambda: dense_tsv(job), merging(strategy("tsv"), job)), difference, 1e-5, "difference"
    ),
    "knots": Task(
        "dense",
        lambda job: (lambda: dense_knots(job), merging(strategy("knots", density=1.0), job)),
        knots_difference,
        1e-5,
        "difference",
    ),
    "reweighted": Task("its first run", reweighted),
    "reranked": Task("its first run", reranked),
}

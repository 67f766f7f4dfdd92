"""Two variants, prompt by prompt."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import attrs
import numpy as np

from selma_core.statistics.intervals import Method, interval_ends
from selma_core.statistics.resampling import RESAMPLES, TINY, sign_flip_p
from selma_core.statistics.sample import Floats, make_sample

MDE_FACTOR = 2.8
"""Smallest difference found with 80 % power at a two-sided 5 % level, in standard errors: 1.96 + 0.84."""


@attrs.frozen
class Comparison:
    """A paired comparison: variant minus baseline, on the prompts both have.

    Attributes:
        difference, low, high: mean difference and its bootstrap interval.
        p: two-sided p value: sign-flip permutation for single runs, bootstrap over runs and prompts for several.
        se: standard error of the difference; None with one prompt. mde: minimal detectable difference, 2.8 se.
        wins, ties, losses: prompts on which the variant is higher, equal, lower.
        n: prompts compared.
        runs: training runs of the variant; 1 says nothing of how training seeds differ.
    """

    difference: float
    low: float
    high: float
    p: float
    se: float | None
    mde: float | None
    wins: int
    ties: int
    losses: int
    n: int
    runs: int = 1


def paired(
    variant: Mapping[str, float],
    baseline: Mapping[str, float],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    weights: Mapping[str, float] | None = None,
    strata: Mapping[str, Hashable] | None = None,
    method: Method = "percentile",
) -> Comparison:
    """Compares two variants by prompt id.

    Args:
        strata: prompt id -> stratum (a benchmark's category), for headlines that are a mean of the categories' means.
        method: of the interval; see `bootstrap_mean`.

    Raises:
        ValueError: when they have no prompt in common.
    """
    shared = sorted(variant.keys() & baseline.keys())
    sample = make_sample(
        [variant[key] - baseline[key] for key in shared],
        None if weights is None else [weights[key] for key in shared],
        None if strata is None else [strata[key] for key in shared],
    )
    low, high = interval_ends(sample, seed, resamples, level, method)
    se = sample.standard_error
    wins, ties, losses = outcomes(sample.x)
    return Comparison(
        difference=sample.mean,
        low=low,
        high=high,
        p=sign_flip_p(sample.shares * np.where(np.abs(sample.x) <= TINY, 0.0, sample.x), seed, resamples),
        se=se,
        mde=None if se is None else MDE_FACTOR * se,
        wins=wins,
        ties=ties,
        losses=losses,
        n=len(shared),
    )


def outcomes(d: Floats) -> tuple[int, int, int]:
    """How many differences are above, at and below 0, with rounding errors counted as 0."""
    tie = np.isclose(d, 0.0, atol=TINY)
    return int(np.sum(~tie & (d > 0))), int(np.sum(tie)), int(np.sum(~tie & (d < 0)))

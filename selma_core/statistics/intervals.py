"""The mean over prompts with its bootstrap interval: percentile, or bias-corrected and accelerated (BCa)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from statistics import NormalDist
from typing import Literal

import attrs
import numpy as np

from selma_core.statistics.resampling import RESAMPLES, resampled_means
from selma_core.statistics.sample import Floats, Sample, make_sample

Method = Literal["percentile", "bca"]
_NORMAL = NormalDist()


@attrs.frozen
class Interval:
    """A mean and its bootstrap interval."""

    mean: float
    low: float
    high: float


def bootstrap_mean(
    values: Sequence[float],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    weights: Sequence[float] | None = None,
    strata: Sequence[Hashable] | None = None,
    method: Method = "percentile",
) -> Interval:
    """The (weighted) mean of one value per prompt and its interval.

    Args:
        strata: one name per value. The mean is then that of the strata's means, and resampling stays within them.
        method: `bca` corrects bias and skewness (Efron 1987); `percentile` takes the resamples' own quantiles.

    Raises:
        ValueError: without values, or with a value that is not finite.
    """
    sample = make_sample(values, weights, strata)
    low, high = interval_ends(sample, seed, resamples, level, method)
    return Interval(sample.mean, low, high)


def interval_ends(sample: Sample, seed: int, resamples: int, level: float, method: Method) -> tuple[float, float]:
    """Low and high end."""
    means = resampled_means(sample, seed, resamples)
    tails = (1.0 - level) / 2.0, (1.0 + level) / 2.0
    if method == "bca":
        tails = _bca_tails(sample, means, tails)
    low, high = np.percentile(means, [100.0 * tail for tail in tails])
    return float(low), float(high)


def _bca_tails(sample: Sample, means: Floats, tails: tuple[float, float]) -> tuple[float, float]:
    """Where to cut the resamples' distribution; the plain tails where it has no spread or lies on one side."""
    below = float(np.mean(means < sample.mean) + np.mean(means == sample.mean) / 2.0)
    pull = sample.influence
    spread = float(np.sum(pull**2))
    if not 0.0 < below < 1.0 or spread == 0.0:
        return tails
    bias = _NORMAL.inv_cdf(below)
    acceleration = float(np.sum(pull**3)) / (6.0 * spread**1.5)

    def moved(tail: float) -> float:
        z = bias + _NORMAL.inv_cdf(tail)
        return _NORMAL.cdf(bias + z / (1.0 - acceleration * z))

    return moved(tails[0]), moved(tails[1])

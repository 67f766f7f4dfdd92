"""Two levels of chance at once: training runs and prompts, or raters and prompts.

Every run meets the same prompts, so the two are crossed: a resample takes runs with replacement and prompts with
replacement, and each prompt it takes is taken in all of its runs. Resampling the prompts anew in each run would make
the prompts' own noise look averaged out, which it is not. Source: Owen 2007, The pigeonhole bootstrap.

A bootstrap over three runs is far too sure of them: what the runs differ by on average is therefore widened before it
is resampled, as a t interval would (Hesterberg 2015, What teachers should know about the bootstrap, section 4.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import pi, sqrt
from statistics import NormalDist

import numpy as np

from selma_core.seeds import derive_seed
from selma_core.statistics.comparison import MDE_FACTOR, Comparison, outcomes
from selma_core.statistics.intervals import Interval
from selma_core.statistics.resampling import RESAMPLES, counts
from selma_core.statistics.sample import Floats

Runs = Mapping[str, Mapping[str, float]]
"""run -> prompt id -> value."""


def hierarchical(
    variant: Runs,
    baseline: Runs,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    weights: Mapping[str, float] | None = None,
) -> Comparison:
    """Compares two variants of which there are several training runs, on the prompts that all runs have.

    Runs of the same name in both (the same training seed) are resampled together, all others apart. `p` is twice the
    smaller share of resampled differences on one side of 0. What the runs differ by is widened for their small number.

    Raises:
        ValueError: without runs, or when they have no prompt in common.
    """
    every = [*variant.values(), *baseline.values()]
    if not variant or not baseline:
        raise ValueError("no runs to compare")
    shared = sorted(set.intersection(*(set(run) for run in every)))
    if not shared:
        raise ValueError("no prompts that all runs have")
    w = np.asarray([1.0 if weights is None else weights[key] for key in shared])
    a, b = _matrix(variant.values(), shared), _matrix([baseline[run] for run in sorted(baseline)], shared)
    if set(variant) == set(baseline):
        parts = [_matrix([variant[run] for run in sorted(variant)], shared) - b]
    else:
        parts = [a, -b]
    d = a.mean(axis=0) - b.mean(axis=0)
    means = sum(_resampled(_widened(part, w, level), w, seed, resamples, place) for place, part in enumerate(parts))
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(means, [tail, 100.0 - tail])
    se = float(np.std(means, ddof=1)) if len(shared) > 1 else None
    side = min(int(np.sum(means <= 0.0)), int(np.sum(means >= 0.0)))
    wins, ties, losses = outcomes(d)
    return Comparison(
        difference=float(np.sum(w * d) / w.sum()),
        low=float(low),
        high=float(high),
        p=min(1.0, 2.0 * (side + 1) / (resamples + 1)),
        se=se,
        mde=None if se is None else MDE_FACTOR * se,
        wins=wins,
        ties=ties,
        losses=losses,
        n=len(shared),
        runs=len(variant),
    )


def two_way_mean(
    votes: Iterable[tuple[str, str, float]], *, seed: int, resamples: int = RESAMPLES, level: float = 0.95
) -> Interval:
    """The mean of votes (prompt, rater, value) and its interval over prompts and raters; not all need have seen all.

    Raises:
        ValueError: without votes.
    """
    found = list(votes)
    if not found:
        raise ValueError("no votes to take a mean over")
    prompts = {name: i for i, name in enumerate(dict.fromkeys(vote[0] for vote in found))}
    raters = {name: i for i, name in enumerate(dict.fromkeys(vote[1] for vote in found))}
    total, number = np.zeros((len(prompts), len(raters))), np.zeros((len(prompts), len(raters)))
    for prompt, rater, value in found:
        total[prompts[prompt], raters[rater]] += value
        number[prompts[prompt], raters[rater]] += 1.0
    pairs = [
        ((p @ total * r).sum(axis=1), (p @ number * r).sum(axis=1))
        for p, r in _crossed(total.shape, seed, resamples, ("votes",))
    ]
    sums, sizes = (np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
    # A resample may hold no vote at all when raters saw different prompts; it says nothing of the mean.
    means = sums[sizes > 0] / sizes[sizes > 0]
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(means, [tail, 100.0 - tail])
    return Interval(float(total.sum() / number.sum()), float(low), float(high))


def _matrix(runs: Iterable[Mapping[str, float]], shared: Sequence[str]) -> Floats:
    """[runs, prompts]"""
    return np.asarray([[run[key] for key in shared] for run in runs], dtype=np.float64)


def _widened(values: Floats, w: Floats, level: float) -> Floats:
    """Each run moved away from the mean of all by sqrt(R / (R - 1)) t / z; nothing to do for one run."""
    runs = values.shape[0]
    if runs < 2:
        return values
    factor = sqrt(runs / (runs - 1)) * t_quantile(level, runs - 1) / NormalDist().inv_cdf(0.5 + level / 2)
    means = values @ w / w.sum()
    widened: Floats = values + (factor - 1.0) * (means - means.mean())[:, None]
    return widened


def t_quantile(level: float, freedom: int) -> float:
    """The t with P(|T| < t) = level for Student's T.

    With t = tan(a) sqrt(freedom) the density is cos(a) ** (freedom - 1), up to a factor.
    """
    angles = np.linspace(0.0, pi / 2, 100_001)
    heights = np.cos(angles) ** (freedom - 1)
    share = np.concatenate([[0.0], np.cumsum(heights[1:] + heights[:-1])])
    return float(np.tan(np.interp(level, share / share[-1], angles)) * sqrt(freedom))


def _resampled(values: Floats, w: Floats, seed: int, resamples: int, place: int) -> Floats:
    """The weighted mean of each resample [resamples]. Both sides of a comparison take the same prompts."""
    runs = values.shape[0]
    found = [
        ((p @ (w * values).T) * r).sum(axis=1) / runs / (p @ w)
        for p, r in _crossed((values.shape[1], runs), seed, resamples, ("runs", place))
    ]
    return np.concatenate(found)


def _crossed(
    shape: tuple[int, int], seed: int, resamples: int, label: tuple[str | int, ...]
) -> Iterator[tuple[Floats, Floats]]:
    """Counts of prompts [rows, P] and of runs [rows, R], chunk by chunk."""
    prompts = np.random.default_rng(derive_seed("prompts", seed))
    others = np.random.default_rng(derive_seed(*label, seed))
    second = np.concatenate(list(counts(others, shape[1], resamples)))
    start = 0
    for chunk in counts(prompts, shape[0], resamples):
        yield chunk, second[start : start + len(chunk)]
        start += len(chunk)

"""One variant in one metric, from one training run or several, and how two of them differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from selma_core.data import Summary
from selma_core.scoring import comparison_entry, mean_summary, observed, score_entry, strata_of
from selma_core.statistics import Comparison, Method, hierarchical, paired

Values = dict[str, dict[str, float]]
"""run -> prompt id -> value."""


@attrs.frozen(kw_only=True)
class Contender:
    """A variant in one metric.

    Attributes:
        name: it goes by. runs: run or training seed -> summary.
    """

    name: str
    runs: Mapping[str, Summary]

    @property
    def mean(self) -> Summary:
        """The only run's summary, or the mean of several, prompt by prompt."""
        found = list(self.runs.values())
        return found[0] if len(found) == 1 else mean_summary(found)

    def entry(self, seed: int) -> dict[str, Any]:
        """Its score as in the JSON of a run; the interval of several runs is over runs and prompts.

        Several runs also have `runs`, their number, and `per_seed`, the mean of each.
        """
        summary = self.mean
        entry = score_entry(summary, seed)
        if len(self.runs) == 1:
            return entry
        if observed(summary):
            zeros = {"zero": dict.fromkeys(observed(summary), 0.0)}
            spread = hierarchical(self.values(), zeros, seed=seed, weights=_weights(summary, summary))
            entry.update(low=spread.low * summary.scale, high=spread.high * summary.scale)
        return {**entry, "runs": len(self.runs), "per_seed": {run: one.mean for run, one in self.runs.items()}}

    def values(self, shift: float = 0.0) -> Values:
        """The observed prompts of each run, moved by `shift`."""
        return {
            run: {key: value + shift for key, (value, _) in observed(summary).items()}
            for run, summary in self.runs.items()
        }

    def within(self, runs: Mapping[str, object]) -> Contender:
        """Itself, with those of its runs that are among `runs`."""
        return attrs.evolve(self, runs={name: one for name, one in self.runs.items() if name in runs})


def alone(summary: Summary) -> Contender:
    """A variant of one run."""
    return Contender(name=summary.metric, runs={"": summary})


def compared(
    variant: Contender, base: Contender, seed: int, *, method: Method = "percentile", margin: float = 0.0
) -> dict[str, Any] | None:
    """A comparison as in the JSON of a run, in the metric's reported scale; None without a common prompt.

    Args:
        method: of the interval where both are of one run.
        margin: by how much the variant is to be better, in the reported scale; below 0 for "not worse by more than".
            `p` is then of the difference from the margin, all other numbers are of the difference itself.
    """
    try:
        result = _difference(variant, base, seed, method)
    except ValueError:
        return None
    summary = variant.mean
    entry = comparison_entry(result, summary)
    if margin:
        shift = (-margin if summary.higher_is_better else margin) / summary.scale
        entry["p"] = _difference(variant, base, seed, method, shift).p
    return entry


def _difference(variant: Contender, base: Contender, seed: int, method: Method, shift: float = 0.0) -> Comparison:
    weights = _weights(variant.mean, base.mean)
    if not weights:
        raise ValueError("no common prompt")
    if len(variant.runs) > 1 or len(base.runs) > 1:
        return hierarchical(variant.values(shift), base.values(), seed=seed, weights=weights)
    (first,), (second,) = variant.values(shift).values(), base.values().values()
    return paired(first, second, seed=seed, weights=weights, strata=strata_of(variant.mean), method=method)


def _weights(a: Summary, b: Summary) -> dict[str, float]:
    """prompt id -> mean of its two weights; the group's share too, where the headline is a mean of groups' means."""
    first, second = observed(a), observed(b)
    weights = {key: (first[key][1] + second[key][1]) / 2 for key in first.keys() & second.keys()}
    strata = strata_of(a)
    if strata is None:
        return weights
    total: dict[str, float] = {}
    for key, weight in weights.items():
        total[strata[key]] = total.get(strata[key], 0.0) + weight
    return {key: weight / total[strata[key]] for key, weight in weights.items()}

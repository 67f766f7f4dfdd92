"""From stored observations to the numbers of a run: summaries, entries of its JSON, comparisons. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from statistics import fmean
from typing import Any

import attrs

from selma_core.artifacts.scores import ScoreTable
from selma_core.data import PromptScore, Summary
from selma_core.errors import UnknownNameError, did_you_mean
from selma_core.protocols import Evaluator
from selma_core.statistics import Comparison, Method, bootstrap_mean, holm, make_sample, paired

Summaries = Mapping[str, Mapping[str, Summary]]
"""variant -> metric -> summary."""


def summarise(evaluator: Evaluator, table: ScoreTable, rule: str | None = None) -> Summary:
    """The metric under a rule (default: the evaluator's first); the judge is the one that was stored."""
    summary = evaluator.aggregate(table.rows, table.specs, rule or evaluator.info.rules[0])
    judge, higher = table.info.judge or summary.judge, evaluator.info.higher_is_better
    return attrs.evolve(summary, judge=judge, higher_is_better=higher)


def score_entry(summary: Summary, seed: int) -> dict[str, Any]:
    """A score of the run's JSON: mean and interval (0-100 for bounded metrics), null without data, and extras."""
    seen = observed(summary)
    low = high = None
    if seen:
        values, weights = zip(*seen.values(), strict=True)
        strata = strata_of(summary)
        groups = None if strata is None else [strata[key] for key in seen]
        interval = bootstrap_mean(values, seed=seed, weights=weights, strata=groups)
        low, high = interval.low * summary.scale, interval.high * summary.scale
    return {
        "mean": summary.mean,
        "low": low,
        "high": high,
        "n_prompts": summary.n_prompts,
        "n_images": summary.n_images,
        "expected_images": max(summary.expected_images, summary.n_images),
        "rule": summary.rule,
        "judge": summary.judge,
        "coverage": summary.coverage,
    }


def mean_summary(summaries: Sequence[Summary]) -> Summary:
    """The mean of several variants, prompt by prompt, on the prompts all of them have ("the mean expert").

    Raises:
        ValueError: for no summaries, or for numbers of different metrics, rules or judges.
    """
    if not summaries or len({(s.metric, s.rule, s.judge, s.scale) for s in summaries}) > 1:
        raise ValueError("a mean is taken over summaries of one metric, rule and judge")
    first = summaries[0]
    seen = [observed(summary) for summary in summaries]
    groups = {prompt.prompt_id: prompt.groups for prompt in first.prompts}
    shared = [key for key in seen[0] if all(key in other for other in seen)]
    prompts = tuple(
        PromptScore(
            prompt_id=key,
            value=fmean(values[key][0] for values in seen),
            groups=groups[key],
            weight=fmean(values[key][1] for values in seen),
        )
        for key in shared
    )
    return attrs.evolve(
        first,
        mean=_weighted_mean(prompts, strata_of(first)) * first.scale if prompts else None,
        prompts=prompts,
        groups=_mean_of([s.groups for s in summaries]),
        categories=_mean_of([s.categories for s in summaries]),
        n_prompts=len(prompts),
        n_images=sum(s.n_images for s in summaries),
        expected_images=sum(s.expected_images for s in summaries),
        n_atoms=sum(s.n_atoms for s in summaries),
        coverage=min(s.coverage for s in summaries),
    )


def members(name: str, variants: Sequence[str]) -> tuple[str, ...]:
    """The variants that a name in `report.compare` stands for: itself, a pattern (`expert_*`), or `experts`.

    A plural such as `experts` stands for all variants called `expert_...`; several are compared as their mean.

    Raises:
        UnknownNameError: when it stands for none.
    """
    if name in variants:
        return (name,)
    pattern = f"{name[:-1]}_*" if name.endswith("s") else name
    found = tuple(variant for variant in variants if fnmatchcase(variant, pattern))
    if not found:
        raise UnknownNameError(f"no variant '{name}' to compare: {did_you_mean(name, variants)}")
    return found


def comparisons(
    summaries: Summaries,
    pairs: Sequence[Sequence[str]] = (),
    baseline: str = "",
    *,
    seed: int = 0,
    metrics: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Paired comparisons, variant minus baseline, in each metric that both have.

    Without `pairs` every variant is compared with `baseline`. A pair whose scores are absent (a failed stage) is left
    out. `p_holm` is adjusted for all comparisons returned; differences are in the metric's reported scale.
    """
    chosen = [tuple(pair) for pair in pairs] or [(name, baseline) for name in summaries if name != baseline]
    found = [
        row
        for variant, base in chosen
        for row in _compare(_resolve(variant, summaries), _resolve(base, summaries), (variant, base), seed)
        if metrics is None or row["metric"] in metrics
    ]
    for row, adjusted in zip(found, holm([row["p"] for row in found]), strict=True):
        row["p_holm"] = adjusted
    return found


def _resolve(name: str, summaries: Summaries) -> dict[str, Summary]:
    try:
        found = [summaries[variant] for variant in members(name, list(summaries))]
    except UnknownNameError:
        return {}
    if len(found) == 1:
        return dict(found[0])
    shared = [metric for metric in found[0] if all(metric in other for other in found)]
    return {metric: mean_summary([each[metric] for each in found]) for metric in shared}


def _compare(
    variant: Mapping[str, Summary], base: Mapping[str, Summary], names: Sequence[str], seed: int
) -> list[dict[str, Any]]:
    found = []
    for metric in (name for name in variant if name in base):
        entry = compare_summaries(variant[metric], base[metric], seed)
        if entry is not None:
            found.append({"variant": names[0], "baseline": names[1], "metric": metric, **entry})
    return found


def compare_summaries(
    variant: Summary, base: Summary, seed: int, *, method: Method = "percentile"
) -> dict[str, Any] | None:
    """The numbers of a paired comparison, in the metric's reported scale; None without a common prompt."""
    a, b = observed(variant), observed(base)
    if not a.keys() & b.keys():
        return None
    result = paired(
        {key: value for key, (value, _) in a.items()},
        {key: value for key, (value, _) in b.items()},
        seed=seed,
        weights={key: (a[key][1] + b[key][1]) / 2 for key in a.keys() & b.keys()},
        strata=strata_of(variant),
        method=method,
    )
    return comparison_entry(result, variant)


def comparison_entry(result: Comparison, variant: Summary) -> dict[str, Any]:
    """A comparison as in a run's JSON: in the reported scale, with wins that are improvements."""
    scaled = {
        key: None if (value := getattr(result, key)) is None else value * variant.scale
        for key in ("difference", "low", "high", "se", "mde")
    }
    higher = variant.higher_is_better
    ends = (result.wins, result.losses) if higher else (result.losses, result.wins)
    counts = {"p": result.p, "wins": ends[0], "ties": result.ties, "losses": ends[1], "n": result.n}
    return {"higher_is_better": higher, **scaled, **counts}


def strata_of(summary: Summary) -> dict[str, str] | None:
    """prompt id -> its group, where the mean is one of groups' means; else None."""
    if not summary.group_mean:
        return None
    return {prompt.prompt_id: next(iter(prompt.groups), "") for prompt in summary.prompts}


def observed(summary: Summary) -> dict[str, tuple[float, float]]:
    """prompt id -> (value, weight) of the prompts that were observed."""
    return {p.prompt_id: (p.value, p.weight) for p in summary.prompts if p.value is not None and p.weight > 0}


def _weighted_mean(prompts: Sequence[PromptScore], strata: Mapping[str, str] | None) -> float:
    groups = None if strata is None else [strata[prompt.prompt_id] for prompt in prompts]
    return make_sample([p.value or 0.0 for p in prompts], [p.weight for p in prompts], groups).mean


def _mean_of(tables: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: fmean(t[name] for t in tables) for name in tables[0] if all(name in t for t in tables)}

"""From stored observations to the numbers of a run: summaries and entries of its JSON. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import attrs

from selma_core.artifacts.scores import ScoreTable
from selma_core.data import PromptScore, Summary
from selma_core.protocols import Evaluator
from selma_core.statistics import Comparison, bootstrap_mean, make_sample


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

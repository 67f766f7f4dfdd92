"""Score tables: one row per variant, with its interval drawn in the row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from markupsafe import Markup

from selma_core.data import Summary
from selma_core.report.figures import COLOURS, Axis, axis_cell, axis_of, interval_cell
from selma_core.report.source import ReportSource, baseline
from selma_core.report.verdicts import Difference, difference_of


@attrs.frozen
class ScoreRow:
    """One variant in one metric.

    Attributes:
        low, high: the 95 % interval. figure: it, drawn. expected_images: how many there should have been.
        coverage: answered questions, per cent. difference: to the baseline, None where it was not compared.
        runs: training seeds behind the mean, 0 where the source does not say. seeds: (seed, mean) of each.
    """

    variant: str
    colour: int
    mean: float | None
    low: float | None
    high: float | None
    n_prompts: int
    n_images: int
    expected_images: int
    coverage: float
    baseline: bool
    figure: Markup
    difference: Difference | None
    runs: int
    seeds: tuple[tuple[str, float], ...]


@attrs.frozen
class ScoreTable:
    """One metric. Attributes: judge, rule = what the number means; axis = of the rows' figures; digits = to show."""

    metric: str
    rule: str
    judge: str
    digits: int
    higher_is_better: bool
    axis: Markup
    rows: tuple[ScoreRow, ...]

    @property
    def compared(self) -> bool:
        """Whether any row has a difference."""
        return any(row.difference is not None for row in self.rows)

    @property
    def seeded(self) -> bool:
        """Whether any row says how many training seeds it has."""
        return any(row.runs for row in self.rows)


def score_tables(source: ReportSource) -> list[ScoreTable]:
    """One per metric, the headline first."""
    metrics = dict.fromkeys(metric for found in source.summaries.values() for metric in found)
    ordered = sorted(metrics, key=lambda metric: metric != source.headline)
    return [_table(source, metric) for metric in ordered]


def colours(source: ReportSource) -> dict[str, int]:
    """Variant -> colour class; the baseline is always class 0 (grey)."""
    grey = baseline(source)
    others = [variant for variant in source.summaries if variant != grey]
    return {grey: 0} | {variant: 1 + i % (COLOURS - 1) for i, variant in enumerate(others)}


def _table(source: ReportSource, metric: str) -> ScoreTable:
    found = {variant: by[metric] for variant, by in source.summaries.items() if metric in by}
    entries = {variant: _entry(source, variant, metric) for variant in found}
    seeds = {variant: _seeds(entry) for variant, entry in entries.items()}
    ends = [entry.get(end) for entry in entries.values() for end in ("low", "high")]
    means = [summary.mean for summary in found.values()]
    base = found.get(baseline(source))
    spread = [value for each in seeds.values() for _, value in each]
    axis = axis_of([*means, *ends, *spread], None if base is None else base.mean)
    colour = colours(source)
    rows = tuple(
        _row(source, variant, metric, summary, axis, entries[variant], seeds[variant], colour[variant])
        for variant, summary in found.items()
    )
    some = next(iter(found.values()))
    digits = 1 if some.scale == 100.0 else 3
    return ScoreTable(metric, some.rule, some.judge, digits, some.higher_is_better, axis_cell(axis), rows)


def _row(
    source: ReportSource,
    variant: str,
    metric: str,
    summary: Summary,
    axis: Axis,
    entry: Mapping[str, Any],
    seeds: tuple[tuple[str, float], ...],
    colour: int,
) -> ScoreRow:
    low, high = entry.get("low"), entry.get("high")
    drawn = [value for _, value in seeds] if len(seeds) > 1 else []
    return ScoreRow(
        variant=variant,
        colour=colour,
        mean=summary.mean,
        low=low,
        high=high,
        n_prompts=summary.n_prompts,
        n_images=summary.n_images,
        expected_images=max(summary.expected_images, summary.n_images),
        coverage=100.0 * summary.coverage,
        baseline=variant == baseline(source),
        figure=Markup("") if summary.mean is None else interval_cell(axis, summary.mean, low, high, colour, drawn),
        difference=difference_of(source, variant, metric),
        runs=int(entry.get("runs") or 0),
        seeds=seeds,
    )


def _entry(source: ReportSource, variant: str, metric: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (source.result.get("scores") or {}).get(variant, {}).get(metric, {})
    return found


def _seeds(entry: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    found = (entry.get("per_seed") or {}).items()
    return tuple((str(seed), float(mean)) for seed, mean in found if mean is not None)

"""Score tables and their figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from markupsafe import Markup

from selma_core.data import Summary
from selma_core.report.figures import COLOURS, Mark, bar_panel, dot_plot
from selma_core.report.source import ReportSource, baseline


@attrs.frozen
class ScoreRow:
    """One variant in one metric."""

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


@attrs.frozen
class ScoreTable:
    """One metric. Attributes: judge, rule = what the number means; panels, details = (category, bars)."""

    metric: str
    rule: str
    judge: str
    rows: tuple[ScoreRow, ...]
    figure: Markup
    panels: tuple[tuple[str, Markup], ...]
    details: tuple[tuple[str, Markup], ...]
    groups: tuple[tuple[str, Markup], ...]


def score_tables(source: ReportSource) -> list[ScoreTable]:
    """One per metric, the headline first."""
    metrics = dict.fromkeys(metric for found in source.summaries.values() for metric in found)
    ordered = sorted(metrics, key=lambda metric: metric != source.headline)
    return [table for metric in ordered if (table := _table(source, metric)) is not None]


def colours(source: ReportSource) -> dict[str, int]:
    """Variant -> colour class; the baseline is always class 0 (grey)."""
    grey = baseline(source)
    others = [variant for variant in source.summaries if variant != grey]
    return {grey: 0} | {variant: 1 + i % (COLOURS - 1) for i, variant in enumerate(others)}


def _table(source: ReportSource, metric: str) -> ScoreTable | None:
    found = {variant: by[metric] for variant, by in source.summaries.items() if metric in by}
    if not found:
        return None
    colour = colours(source)
    rows = tuple(_row(source, variant, metric, summary, colour[variant]) for variant, summary in found.items())
    marks = [Mark(r.variant, r.mean, r.colour, r.low, r.high) for r in rows if r.mean is not None]
    some = next(iter(found.values()))
    tables = {variant: summary.categories for variant, summary in found.items()}
    broad, detailed = (_panels(tables, colour, wanted) for wanted in (False, True))
    groups = _panels({variant: summary.groups for variant, summary in found.items()}, colour, False)
    figure = dot_plot(marks) if marks else Markup("")
    return ScoreTable(metric, some.rule, some.judge, rows, figure, broad, detailed, groups)


def _row(source: ReportSource, variant: str, metric: str, summary: Summary, colour: int) -> ScoreRow:
    entry: Mapping[str, Any] = (source.result.get("scores") or {}).get(variant, {}).get(metric, {})
    return ScoreRow(
        variant,
        colour,
        summary.mean,
        entry.get("low"),
        entry.get("high"),
        summary.n_prompts,
        summary.n_images,
        max(summary.expected_images, summary.n_images),
        100.0 * summary.coverage,
        variant == baseline(source),
    )


def _panels(
    tables: Mapping[str, Mapping[str, float]], colour: Mapping[str, int], detailed: bool
) -> tuple[tuple[str, Markup], ...]:
    names: Sequence[str] = list(dict.fromkeys(_flat(tables.values())))
    chosen = [name for name in names if ("/" in name) == detailed]
    return tuple(
        (name, bar_panel([Mark(v, table[name], colour[v]) for v, table in tables.items() if name in table]))
        for name in chosen
    )


def _flat(tables: Iterable[Iterable[str]]) -> Iterable[str]:
    return (name for table in tables for name in table)

"""Heat maps: variants by categories of questions, and by groups of prompts."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from selma_core.report.source import ReportSource, baseline

STEPS = 10
ARMS = 5
_BROAD = "By question category"


@attrs.frozen
class HeatCell:
    """One number. Attributes: level = 0 to `STEPS`; difference = to the baseline; arm = -`ARMS` to `ARMS`."""

    value: float
    level: int
    difference: float | None
    arm: int


@attrs.frozen
class HeatMap:
    """One table.

    Attributes:
        rows: (variant, one cell or None per column). low, high: what the ends of the scale stand for.
        reach: what the ends of the scale of differences stand for, None without a baseline.
    """

    title: str
    metric: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[HeatCell | None, ...]], ...]
    low: float
    high: float
    reach: float | None
    digits: int

    @property
    def folded(self) -> bool:
        """Whether the table is closed at first: all but the one of broad categories."""
        return self.title != _BROAD

    @property
    def key(self) -> str:
        """Names its switch within the page."""
        return f"{self.metric}-{self.title}"


def heat_maps(source: ReportSource, metric: str) -> list[HeatMap]:
    """Of one metric: by category of question, by detailed category, by group of prompts; those that have columns."""
    found = {variant: by[metric] for variant, by in source.summaries.items() if metric in by}
    categories = {variant: summary.categories for variant, summary in found.items()}
    groups = {variant: summary.groups for variant, summary in found.items()}
    digits = 1 if all(summary.scale == 100.0 for summary in found.values()) else 3
    tables: list[tuple[str, Mapping[str, Mapping[str, float]]]] = [
        (_BROAD, _only(categories, detailed=False)),
        ("By detailed category", _only(categories, detailed=True)),
        ("By group of prompts", groups),
    ]
    made = [_heat(title, metric, table, baseline(source), digits) for title, table in tables]
    return [heat for heat in made if heat is not None]


def _only(tables: Mapping[str, Mapping[str, float]], *, detailed: bool) -> dict[str, dict[str, float]]:
    return {
        variant: {name: value for name, value in table.items() if ("/" in name) == detailed}
        for variant, table in tables.items()
    }


def _heat(title: str, metric: str, tables: Mapping[str, Mapping[str, float]], base: str, digits: int) -> HeatMap | None:
    columns = tuple(dict.fromkeys(name for table in tables.values() for name in table))
    values = [value for table in tables.values() for value in table.values()]
    if not values:
        return None
    here = tables.get(base) or {}
    away = [abs(table[name] - here[name]) for table in tables.values() for name in table if name in here]
    low, high, reach = min(values), max(values), (max(away) or 1.0) if away else None
    rows = tuple(
        (variant, tuple(_cell(table.get(name), here.get(name), low, high, reach or 1.0) for name in columns))
        for variant, table in tables.items()
    )
    return HeatMap(title, metric, columns, rows, low, high, reach, digits)


def _cell(value: float | None, base: float | None, low: float, high: float, reach: float) -> HeatCell | None:
    if value is None:
        return None
    level = round(STEPS * (value - low) / (high - low)) if high > low else STEPS // 2
    if base is None:
        return HeatCell(value, level, None, 0)
    return HeatCell(value, level, value - base, round(ARMS * (value - base) / reach))

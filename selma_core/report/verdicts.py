"""Paired comparisons in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from markupsafe import Markup

from selma_core.report.figures import difference_plot
from selma_core.report.source import ReportSource, baseline

LEVEL = 0.05


@attrs.frozen
class Difference:
    """Variant minus baseline, with its 95 % interval, in the metric's reported scale. Attributes: p = after Holm."""

    value: float
    low: float
    high: float
    p: float
    outcome: str


@attrs.frozen
class Verdict:
    """One comparison.

    Attributes:
        outcome: `beats`, `loses to` or `undecided`.
        difference: with its unit. figure: the difference against 0. detail: the other numbers in words.
        numbers: the same, to sort by. digits: to show.
    """

    variant: str
    baseline: str
    metric: str
    outcome: str
    difference: str
    figure: Markup
    detail: str
    numbers: Difference
    digits: int


def verdicts(source: ReportSource) -> list[Verdict]:
    """One per comparison, those of the headline metric first."""
    main = source.headline
    rows = sorted(source.result.get("comparisons") or [], key=lambda row: row["metric"] != main)
    known = set(source.summaries)
    return [verdict_of(row, known, scale_of(source, row["metric"]), _reach(rows, row["metric"])) for row in rows]


def outcome(row: Mapping[str, Any]) -> str:
    """`beats`, `loses to` or `undecided`: decided only when the interval excludes 0 and p (after Holm) is below .05."""
    p = row.get("p_holm", row["p"])
    if row["low"] <= 0 <= row["high"] or p >= LEVEL:
        return "undecided"
    return "beats" if (row["difference"] > 0) == row.get("higher_is_better", True) else "loses to"


def difference_of(source: ReportSource, variant: str, metric: str) -> Difference | None:
    """The variant against the baseline in a metric, None where the two were not compared."""
    wanted = (variant, baseline(source), metric)
    rows = source.result.get("comparisons") or []
    found = (row for row in rows if (row["variant"], row["baseline"], row["metric"]) == wanted)
    row = next(found, None)
    return None if row is None else numbers_of(row)


def numbers_of(row: Mapping[str, Any]) -> Difference:
    """The numbers of a row of `comparisons`."""
    return Difference(row["difference"], row["low"], row["high"], row.get("p_holm", row["p"]), outcome(row))


def missing(source: ReportSource) -> list[str]:
    """Pairs that the recipe asks for and that have no scores."""
    done = {(row["variant"], row["baseline"]) for row in source.result.get("comparisons") or []}
    pairs = [tuple(map(str, pair)) for pair in source.report_settings.get("compare") or []]
    return [f"{a} against {b}" for a, b in (pair for pair in pairs if len(pair) == 2) if (a, b) not in done]


def training_seeds(source: ReportSource) -> int:
    """How many training seeds the comparisons rest on: the fewest of any, 1 where they do not say."""
    return min((int(row.get("runs") or 1) for row in source.result.get("comparisons") or []), default=1)


def scale_of(source: ReportSource, metric: str) -> float:
    """100 for metrics in per cent, 1 for those in a scale of their own."""
    return next((found[metric].scale for found in source.summaries.values() if metric in found), 100.0)


def _reach(rows: Sequence[Mapping[str, Any]], metric: str) -> float:
    """One axis for all comparisons of a metric, so that their figures can be compared by eye."""
    return reach_of([row for row in rows if row["metric"] == metric])


def reach_of(rows: Sequence[Mapping[str, Any]]) -> float:
    """The end, on both sides of 0, of an axis that holds all intervals."""
    return 1.05 * max((abs(row[key]) for row in rows for key in ("low", "high", "difference")), default=0.0) or 1.0


def verdict_of(row: Mapping[str, Any], known: set[str], scale: float, reach: float) -> Verdict:
    """A row of `comparisons` in words; names that are no variant stand for the mean of several."""
    names = [str(row[key]) for key in ("variant", "baseline")]
    variant, base = (name if name in known else f"the mean of {name}" for name in names)
    points = " points" if scale == 100.0 else ""
    digits = 1 if scale == 100.0 else 3
    parts = [f"95 % interval {row['low']:+.{digits}f} to {row['high']:+.{digits}f}", _p(row)]
    if "wins" in row:
        parts.append(f"better on {row['wins']}, equal on {row['ties']}, worse on {row['losses']} of {row['n']} prompts")
    if row.get("runs"):
        parts.append(f"{row['runs']} training seed{'s' if row['runs'] > 1 else ''}")
    decided = outcome(row)
    if decided == "undecided" and row.get("mde") is not None:
        parts.append(f"a true difference below {row['mde']:.{digits}f}{points} would likely stay undecided")
    figure = difference_plot(row["difference"], row["low"], row["high"], reach)
    difference = f"{row['difference']:+.{digits}f}{points}"
    detail = "; ".join(parts) + "."
    return Verdict(variant, base, str(row["metric"]), decided, difference, figure, detail, numbers_of(row), digits)


def _p(row: Mapping[str, Any]) -> str:
    if "p_holm" not in row:
        return f"p {_number(row['p'])}"
    if _number(row["p"]) == _number(row["p_holm"]):
        return f"p {_number(row['p'])}, also after Holm's correction"
    return f"p {_number(row['p'])}, {_number(row['p_holm']).removeprefix('= ')} after Holm's correction"


def _number(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"

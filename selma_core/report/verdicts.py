"""Paired comparisons in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from markupsafe import Markup

from selma_core.report.figures import difference_plot
from selma_core.report.source import ReportSource

LEVEL = 0.05


@attrs.frozen
class Verdict:
    """One comparison.

    Attributes:
        outcome: `beats`, `loses to` or `undecided`.
        difference: with its unit. figure: the difference against 0. detail: the other numbers in words.
    """

    variant: str
    baseline: str
    metric: str
    outcome: str
    difference: str
    figure: Markup
    detail: str


def verdicts(source: ReportSource) -> list[Verdict]:
    """One per comparison, those of the headline metric first."""
    main = source.headline
    rows = sorted(source.result.get("comparisons") or [], key=lambda row: row["metric"] != main)
    known = set(source.summaries)
    return [_verdict(row, known, _scale(source, row["metric"]), _reach(rows, row["metric"])) for row in rows]


def outcome(row: Mapping[str, Any]) -> str:
    """`beats`, `loses to` or `undecided`: decided only when the interval excludes 0 and p (after Holm) is below .05."""
    p = row.get("p_holm", row["p"])
    if row["low"] <= 0 <= row["high"] or p >= LEVEL:
        return "undecided"
    return "beats" if (row["difference"] > 0) == row["higher_is_better"] else "loses to"


def missing(source: ReportSource) -> list[str]:
    """Pairs that the recipe asks for and that have no scores."""
    done = {(row["variant"], row["baseline"]) for row in source.result.get("comparisons") or []}
    pairs = [tuple(map(str, pair)) for pair in source.report_settings.get("compare") or []]
    return [f"{a} against {b}" for a, b in (pair for pair in pairs if len(pair) == 2) if (a, b) not in done]


def _scale(source: ReportSource, metric: str) -> float:
    return next((found[metric].scale for found in source.summaries.values() if metric in found), 100.0)


def _reach(rows: Sequence[Mapping[str, Any]], metric: str) -> float:
    """One axis for all comparisons of a metric, so that their figures can be compared by eye."""
    ends = [abs(row[key]) for row in rows if row["metric"] == metric for key in ("low", "high", "difference")]
    return 1.05 * max(ends) or 1.0


def _verdict(row: Mapping[str, Any], known: set[str], scale: float, reach: float) -> Verdict:
    names = [str(row[key]) for key in ("variant", "baseline")]
    variant, baseline = (name if name in known else f"the mean of {name}" for name in names)
    points = " points" if scale == 100.0 else ""
    digits = 1 if scale == 100.0 else 3
    parts = [f"95 % interval {row['low']:+.{digits}f} to {row['high']:+.{digits}f}", _p(row)]
    if "wins" in row:
        parts.append(f"better on {row['wins']}, equal on {row['ties']}, worse on {row['losses']} of {row['n']} prompts")
    decided = outcome(row)
    if decided == "undecided" and row.get("mde") is not None:
        parts.append(f"a true difference below {row['mde']:.{digits}f}{points} would likely stay undecided")
    figure = difference_plot(row["difference"], row["low"], row["high"], reach)
    difference = f"{row['difference']:+.{digits}f}{points}"
    return Verdict(variant, baseline, str(row["metric"]), decided, difference, figure, "; ".join(parts) + ".")


def _p(row: Mapping[str, Any]) -> str:
    if "p_holm" not in row:
        return f"p {_number(row['p'])}"
    if _number(row["p"]) == _number(row["p_holm"]):
        return f"p {_number(row['p'])}, also after Holm's correction"
    return f"p {_number(row['p'])}, {_number(row['p_holm']).removeprefix('= ')} after Holm's correction"


def _number(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"

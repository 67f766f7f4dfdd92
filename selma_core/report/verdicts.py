"""Paired comparisons in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from selma_core.report.lookup import headline, report_settings
from selma_core.report.source import ReportSource

LEVEL = 0.05


@attrs.frozen
class Verdict:
    """One comparison. Attributes: outcome = `beats`, `loses to` or `undecided`; detail = the numbers in words."""

    variant: str
    baseline: str
    metric: str
    outcome: str
    detail: str


def verdicts(source: ReportSource) -> list[Verdict]:
    """One per comparison, those of the headline metric first."""
    main = headline(source)
    rows = sorted(source.result.get("comparisons") or [], key=lambda row: row["metric"] != main)
    known = set(source.summaries)
    return [_verdict(row, known, _scale(source, row["metric"])) for row in rows]


def outcome(row: Mapping[str, Any], higher_is_better: bool = True) -> str:
    """Decided only when the interval excludes 0 and p (after Holm) is below 0.05."""
    p = row.get("p_holm", row["p"])
    if row["low"] <= 0 <= row["high"] or p >= LEVEL:
        return "undecided"
    return "beats" if (row["difference"] > 0) == higher_is_better else "loses to"


def missing(source: ReportSource) -> list[str]:
    """Pairs that the recipe asks for and that have no scores."""
    done = {(row["variant"], row["baseline"]) for row in source.result.get("comparisons") or []}
    pairs = [tuple(map(str, pair)) for pair in report_settings(source).get("compare") or []]
    return [f"{a} against {b}" for a, b in (pair for pair in pairs if len(pair) == 2) if (a, b) not in done]


def _scale(source: ReportSource, metric: str) -> float:
    return next((found[metric].scale for found in source.summaries.values() if metric in found), 100.0)


def _verdict(row: Mapping[str, Any], known: set[str], scale: float) -> Verdict:
    names = [str(row[key]) for key in ("variant", "baseline")]
    variant, baseline = (name if name in known else f"the mean of {name}" for name in names)
    points = " points" if scale == 100.0 else ""
    digits = 1 if scale == 100.0 else 3
    parts = [
        f"{row['difference']:+.{digits}f}{points}, 95 % interval {row['low']:+.{digits}f} to {row['high']:+.{digits}f}",
        _p(row),
    ]
    if "wins" in row:
        parts.append(f"better on {row['wins']}, equal on {row['ties']}, worse on {row['losses']} of {row['n']} prompts")
    decided = outcome(row)
    if decided == "undecided" and row.get("mde") is not None:
        parts.append(
            f"differences below {row['mde']:.{digits}f}{points} are likely to stay undecided with these prompts"
        )
    return Verdict(variant, baseline, str(row["metric"]), decided, "; ".join(parts) + ".")


def _p(row: Mapping[str, Any]) -> str:
    text = f"p {_number(row['p'])}"
    return f"{text}, {_number(row['p_holm'])} after Holm's correction" if "p_holm" in row else text


def _number(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"

"""What was claimed, and whether it held here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from selma_core.report.source import ReportSource
from selma_core.report.verdicts import Verdict, reach_of, scale_of, verdict_of

# Never colour alone: every verdict has its word and its sign.
_SIGNS = {"supported": "✓", "not supported": "✗", "undecided": "?"}


@attrs.frozen
class Claim:
    """One claim. Attributes: claimed_by = where it is from; evidence = its comparisons; margins = what each allowed."""

    text: str
    claimed_by: str
    metric: str
    verdict: str
    sign: str
    style: str
    evidence: tuple[Verdict, ...]
    margins: tuple[str, ...]


def claims(source: ReportSource) -> list[Claim]:
    """Those of an ablation, in its order; a run has none."""
    return [_claim(source, entry) for entry in source.result.get("claims") or []]


def _claim(source: ReportSource, entry: Mapping[str, Any]) -> Claim:
    metric, verdict = str(entry.get("metric") or source.headline), str(entry["verdict"])
    rows = [{"metric": metric, **row} for row in entry.get("comparisons") or []]
    scale, reach = scale_of(source, metric), reach_of(rows)
    known = set(source.summaries)
    return Claim(
        text=str(entry["claim"]),
        claimed_by=str(entry.get("source") or ""),
        metric=metric,
        verdict=verdict,
        sign=_SIGNS.get(verdict, "?"),
        style=verdict.replace(" ", "-") if verdict in _SIGNS else "undecided",
        evidence=tuple(verdict_of(row, known, scale, reach) for row in rows),
        margins=tuple(f"margin {row['margin']:g}" if row.get("margin") else "" for row in rows),
    )

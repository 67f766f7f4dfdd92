"""What a paper says, held against the numbers: supported, not supported, undecided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from selma_core.ablation.spec import Claim
from selma_core.comparisons import Table, add_holm, compare_named

LEVEL = 0.05
Verdict = Literal["supported", "not supported", "undecided"]


def judge_claims(claims: Sequence[Claim], table: Table, metric: str, seed: int) -> list[dict[str, Any]]:
    """The `claims` of an ablation's JSON.

    All comparisons of all claims are one family (Holm). A comparison decides when its 95 % interval lies on one side
    of the margin and p (of the difference from the margin, after Holm) is below .05: above, it supports the claim;
    below, it contradicts it. A claim is supported when each of its comparisons supports it, not supported when one
    contradicts it, else undecided. A comparison that was not made (a failed stage) leaves its claim undecided.
    """
    found = [[compare_named(table, c.better, other, metric, seed, c.margin) for other in c.than] for c in claims]
    add_holm([row for rows in found for row in rows if row is not None])
    return [_claim(claim, metric, rows) for claim, rows in zip(claims, found, strict=True)]


def _claim(claim: Claim, metric: str, rows: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    made = [{**row, "margin": claim.margin} for row in rows if row is not None]
    missing = [other for other, row in zip(claim.than, rows, strict=True) if row is None]
    return {
        "claim": claim.text,
        "source": claim.source,
        "metric": metric,
        "verdict": _all([*map(_one, made), *("undecided" for _ in missing)]),
        "comparisons": made,
        "missing": [f"{claim.better} against {other}" for other in missing],
    }


def _one(row: Mapping[str, Any]) -> Verdict:
    sign = 1.0 if row["higher_is_better"] else -1.0
    low, high = sorted((sign * row["low"], sign * row["high"]))
    if row["p_holm"] >= LEVEL:
        return "undecided"
    return "supported" if low > row["margin"] else "not supported" if high < row["margin"] else "undecided"


def _all(verdicts: Sequence[str]) -> Verdict:
    if "not supported" in verdicts:
        return "not supported"
    return "undecided" if "undecided" in verdicts else "supported"

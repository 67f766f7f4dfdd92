"""How far two judges agree, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from selma_core.report.source import ReportSource


@attrs.frozen
class AgreementRow:
    """One line: over what, how many questions, share of equal answers in per cent, Cohen's kappa."""

    name: str
    n: int
    equal: float | None
    kappa: float | None


@attrs.frozen
class AgreementTable:
    """Two judges of one metric: over all answers, by variant, by category of question."""

    metric: str
    judges: tuple[str, str]
    rows: tuple[AgreementRow, ...]


def agreements(source: ReportSource) -> list[AgreementTable]:
    """One per pair of judges; none where a run had one judge."""
    return [_table(entry) for entry in source.result.get("agreement") or []]


def _table(entry: Mapping[str, Any]) -> AgreementTable:
    first, second = entry["judges"]
    named = [("all answers", entry), *entry["by_variant"].items(), *entry["by_category"].items()]
    return AgreementTable(entry["metric"], (first, second), tuple(_row(name, found) for name, found in named))


def _row(name: str, found: Mapping[str, Any]) -> AgreementRow:
    return AgreementRow(name, found["n"], None if found["equal"] is None else 100 * found["equal"], found["kappa"])

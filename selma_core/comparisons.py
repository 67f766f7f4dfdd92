"""Which variants are compared, and their comparisons as one family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from selma_core.contenders import Contender, compared
from selma_core.data import Summary
from selma_core.errors import UnknownNameError, did_you_mean
from selma_core.scoring import mean_summary
from selma_core.statistics import holm

Table = Mapping[str, Mapping[str, Contender]]
"""variant -> metric -> what was measured."""


def single_runs(summaries: Mapping[str, Mapping[str, Summary]]) -> Table:
    """The table of one run's summaries (variant -> metric -> summary)."""
    return {
        name: {metric: Contender(name=name, runs={"": summary}) for metric, summary in metrics.items()}
        for name, metrics in summaries.items()
    }


def members(name: str, variants: Sequence[str]) -> tuple[str, ...]:
    """The variants that a name in `report.compare` stands for: itself, a pattern (`expert_*`), or `experts`.

    A plural such as `experts` stands for all variants called `expert_...`; several are compared as their mean.

    Raises:
        UnknownNameError: when it stands for none.
    """
    if name in variants:
        return (name,)
    pattern = f"{name[:-1]}_*" if name.endswith("s") else name
    found = tuple(variant for variant in variants if fnmatchcase(variant, pattern))
    if not found:
        raise UnknownNameError(f"no variant '{name}' to compare: {did_you_mean(name, variants)}")
    return found


def comparisons(
    table: Table,
    pairs: Sequence[Sequence[str]] = (),
    baseline: str = "",
    *,
    seed: int = 0,
    metrics: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Paired comparisons, variant minus baseline, in each metric that both have.

    Without `pairs` every variant is compared with `baseline`. A pair whose scores are absent (a failed stage) is left
    out. `p_holm` is adjusted for all comparisons returned; differences are in the metric's reported scale.
    """
    chosen = [(str(pair[0]), str(pair[1])) for pair in pairs] or [
        (name, baseline) for name in table if name != baseline
    ]
    found = [
        row
        for variant, base in chosen
        for metric in _metrics(variant, base, table)
        if metrics is None or metric in metrics
        if (row := compare_named(table, variant, base, metric, seed)) is not None
    ]
    add_holm(found)
    return found


def compare_named(
    table: Table, variant: str, base: str, metric: str, seed: int, margin: float = 0.0
) -> dict[str, Any] | None:
    """One comparison with its names, on the runs that both have; None where either was not measured.

    `runs` says how many training runs it rests on, where it is more than one.
    """
    first, second = resolve(variant, table).get(metric), resolve(base, table).get(metric)
    if first is None or second is None:
        return None
    shared = first.runs.keys() & second.runs.keys()
    if not shared:
        return None
    entry = compared(first.within(second.runs), second.within(first.runs), seed, margin=margin)
    if entry is None:
        return None
    runs = {"runs": len(shared)} if len(first.runs) > 1 or len(second.runs) > 1 else {}
    return {"variant": variant, "baseline": base, "metric": metric, **entry, **runs}


def add_holm(rows: Sequence[dict[str, Any]]) -> None:
    """Adds `p_holm`, adjusted for all of the rows."""
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = adjusted


def resolve(name: str, table: Table) -> dict[str, Contender]:
    """metric -> what was measured of a name; of several variants their mean, in the runs that all of them have."""
    try:
        found = [table[variant] for variant in members(name, list(table))]
    except UnknownNameError:
        return {}
    if len(found) == 1:
        return dict(found[0])
    shared = [metric for metric in found[0] if all(metric in other for other in found)]
    return {metric: _mean(name, [each[metric] for each in found]) for metric in shared}


def _mean(name: str, found: Sequence[Contender]) -> Contender:
    runs = [run for run in found[0].runs if all(run in other.runs for other in found)]
    return Contender(name=name, runs={run: mean_summary([each.runs[run] for each in found]) for run in runs})


def _metrics(variant: str, base: str, table: Table) -> list[str]:
    known = resolve(base, table)
    return [metric for metric in resolve(variant, table) if metric in known]

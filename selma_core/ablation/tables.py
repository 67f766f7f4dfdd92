"""From the finished stages of an ablation to its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selma_core.ablation.claims import judge_claims
from selma_core.ablation.opened import OpenAblation
from selma_core.collect import Summaries, summaries_of
from selma_core.comparisons import Table, comparisons
from selma_core.contenders import Contender
from selma_core.data import Summary
from selma_core.errors import UserError, did_you_mean
from selma_core.result import NodeResult


def measure(opened: OpenAblation, nodes: Sequence[NodeResult]) -> dict[str, dict[str, Contender]]:
    """row -> metric -> its summaries by seed; what was not measured (a failed stage) is absent."""
    by_session = {name: _summaries(opened, name, nodes) for name in opened.sessions}
    table: dict[str, dict[str, Contender]] = {}
    for row, places in opened.rows.items():
        found: dict[str, dict[str, Summary]] = {}
        for seed, place in places.items():
            for metric, summary in by_session[place.session].get(place.variant, {}).items():
                found.setdefault(metric, {})[seed] = summary
        if found:
            table[row] = {metric: Contender(name=row, runs=runs) for metric, runs in found.items()}
    return table


def result_of(opened: OpenAblation, table: Table) -> dict[str, Any]:
    """The numbers in the JSON of `selma ablate`: metric, baseline, seeds, scores, comparisons, claims.

    Raises:
        UserError: no row has the metric that the ablation names.
    """
    ablation, seed = opened.ablation, opened.first.graph.seed
    metric = ablation.metric or str(opened.report.get("headline") or "") or _first_metric(table)
    for row, metrics in table.items():
        if metric not in metrics:
            hint = did_you_mean(metric, metrics)
            raise UserError(f"ablation '{ablation.name}': {row} has no metric '{metric}'; {hint}")
    found: dict[str, Any] = {
        "metric": metric,
        "baseline": opened.baseline,
        "seeds": list(ablation.seeds) or [seed],
        "scores": {
            row: {name: one.entry(seed) for name, one in _headline_first(metrics, metric).items()}
            for row, metrics in table.items()
        },
        "comparisons": comparisons(table, opened.pairs, opened.baseline, seed=seed, metrics=[metric]),
    }
    if ablation.claims:
        found["claims"] = judge_claims(ablation.claims, table, metric, seed)
    return found


def _summaries(opened: OpenAblation, name: str, nodes: Sequence[NodeResult]) -> Summaries:
    mine = {node.id.removeprefix(f"{name}:"): node for node in nodes if node.id.startswith(f"{name}:")}
    return summaries_of(opened.sessions[name], mine)


def _first_metric(table: Table) -> str:
    return next((metric for metrics in table.values() for metric in metrics), "")


def _headline_first(metrics: Mapping[str, Contender], metric: str) -> dict[str, Contender]:
    return {metric: metrics[metric], **metrics}

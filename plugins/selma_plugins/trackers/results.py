"""The numbers of a run's result, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selma_plugins.trackers.names import joined
from selma_plugins.trackers.page import Sheet

_SCORE = ("mean", "low", "high", "n_prompts", "n_images", "coverage")
_COMPARED = ("difference", "low", "high", "p", "p_holm")
_COLUMNS = ("variant", "metric", *_SCORE, "rule", "judge")

Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]


def numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """`scores/merged/dsg/mean`, `.../low`, `comparisons/merged vs base/dsg/difference`, `seconds`, ..."""
    found: dict[str, float] = {}
    for variant, metrics in (result.get("scores") or {}).items():
        found |= score_numbers(metrics, "scores", variant)
    for row in result.get("comparisons") or ():
        place = ("comparisons", f"{row['variant']} vs {row['baseline']}", row["metric"])
        found |= _chosen(row, _COMPARED, *place)
    if result.get("seconds") is not None:
        found["seconds_of_the_run"] = float(result["seconds"])
    return found


def score_numbers(metrics: Mapping[str, Mapping[str, Any]], *place: str) -> dict[str, float]:
    """The numbers of one variant; `place` is where they go."""
    return {
        key: value for metric, score in metrics.items() for key, value in _chosen(score, _SCORE, *place, metric).items()
    }


def score_sheet(scores: Scores) -> Sheet:
    """One row per variant and metric."""
    rows = [
        (variant, metric, *(score.get(key) for key in _COLUMNS[2:]))
        for variant, metrics in scores.items()
        for metric, score in metrics.items()
    ]
    return Sheet("scores", _COLUMNS, rows)


def _chosen(row: Mapping[str, Any], keys: tuple[str, ...], *place: str) -> dict[str, float]:
    return {joined(*place, key): float(row[key]) for key in keys if row.get(key) is not None}

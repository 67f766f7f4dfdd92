"""The long form of a result: one row per variant, metric and group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from selma_core.errors import UnknownNameError, did_you_mean

SIGNIFICANT = 0.05


@attrs.frozen(kw_only=True)
class Row:
    """One number with all that belongs to it; names as in the JSON of a run.

    Attributes:
        group: of the benchmark, "" = all prompts. A group's row has no comparison.
        runs: training seeds behind the number; None where the run does not say.
        baseline: what the difference is to, "" without one. n: prompts that both have.
    """

    variant: str
    metric: str
    group: str = ""
    mean: float | None
    low: float | None
    high: float | None
    n_prompts: int
    n_images: int
    expected_images: int
    coverage: float
    judge: str
    rule: str
    runs: int | None = None
    baseline: str = ""
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    n: int | None = None
    higher_is_better: bool | None = None

    @property
    def better(self) -> bool:
        """Whether it is better than its baseline with p (Holm) below 0.05."""
        if self.difference is None or self.p_holm is None or self.higher_is_better is None:
            return False
        gain = self.difference if self.higher_is_better else -self.difference
        return gain > 0 and self.p_holm < SIGNIFICANT


COLUMNS = tuple(field.name for field in attrs.fields(Row))


def table_rows(result: Mapping[str, Any], *, metrics: Sequence[str] = (), baseline: str = "") -> tuple[Row, ...]:
    """The rows of a result, in its order of variants.

    Args:
        result: the JSON object of `selma run` or `selma ablate`, or a stored `run.json`.
        metrics: only these; empty = all. baseline: of the differences; "" = the declared one.

    Raises:
        UnknownNameError: for a metric or baseline that the result lacks.
    """
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]] = result.get("scores") or {}
    known = list(dict.fromkeys(metric for found in scores.values() for metric in found))
    for metric in metrics:
        if metric not in known:
            raise UnknownNameError(f"--metric: no metric '{metric}'; {did_you_mean(metric, known)}")
    base = baseline_of(result, baseline)
    compared = {(row["variant"], row["metric"]): row for row in _comparisons(result) if row["baseline"] == base}
    higher = {row["metric"]: row.get("higher_is_better") for row in _comparisons(result)}
    return tuple(
        _row(variant, metric, score, compared.get((variant, metric)), higher.get(metric))
        for variant, found in scores.items()
        for metric, score in found.items()
        if not metrics or metric in metrics
    )


def baseline_of(result: Mapping[str, Any], wanted: str = "") -> str:
    """What the differences are to: `wanted`, else the ablation's or the recipe's, else that of the first comparison.

    Raises:
        UnknownNameError: nothing was compared with `wanted`.
    """
    known = list(dict.fromkeys(row["baseline"] for row in _comparisons(result)))
    if wanted and wanted not in known:
        raise UnknownNameError(f"--baseline: nothing was compared with '{wanted}'; {did_you_mean(wanted, known)}")
    report = (result.get("config") or {}).get("report")
    declared = report.get("baseline") if isinstance(report, Mapping) else None
    for name in (wanted, result.get("baseline"), declared):
        if name in known:
            return str(name)
    return known[0] if known else ""


def score_row(variant: str, metric: str, score: Mapping[str, Any], group: str = "") -> Row:
    """The row of a score entry, without a comparison."""
    return Row(
        variant=variant,
        metric=metric,
        group=group,
        mean=score.get("mean"),
        low=score.get("low"),
        high=score.get("high"),
        n_prompts=score.get("n_prompts", 0),
        n_images=score.get("n_images", 0),
        expected_images=score.get("expected_images", score.get("n_images", 0)),
        coverage=float(score.get("coverage", 1.0)),
        judge=score.get("judge") or "",
        rule=score.get("rule") or "",
        runs=score.get("runs"),
    )


def _row(
    variant: str, metric: str, score: Mapping[str, Any], compared: Mapping[str, Any] | None, higher: bool | None
) -> Row:
    row = attrs.evolve(score_row(variant, metric, score), higher_is_better=higher)
    if compared is None:
        return row
    ends: dict[str, Any] = {f"difference_{key}": compared.get(key) for key in ("low", "high")}
    more: dict[str, Any] = {key: compared.get(key) for key in ("baseline", "difference", "p", "p_holm", "n")}
    return attrs.evolve(row, **ends, **more)


def _comparisons(result: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return result.get("comparisons") or ()

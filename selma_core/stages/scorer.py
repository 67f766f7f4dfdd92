"""Stage `scorer_trainer`: scored images -> the model of a scorer."""

from __future__ import annotations

from collections.abc import Mapping

from selma_core.artifacts.scorer import write_scorer
from selma_core.artifacts.scores import read_scores, read_values
from selma_core.protocols import ScorerJob
from selma_core.stages.task import Task

Table = Mapping[str, Mapping[str, float | None]]


def run_scorer(task: Task) -> None:
    """Trains on all images of all sets. The trainer resumes from its working folder by itself."""
    job = ScorerJob(context=task.context, images=task.images(), scores=all_scores(task), out=task.out)
    write_scorer(task.out, task.implementation.train(job))


def all_scores(task: Task) -> dict[str, Table]:
    """metric -> item id -> rule -> value, the metric's rules in order; `metric:judge` where several measured it."""
    tables: dict[str, dict[str, dict[str, Mapping[str, float | None]]]] = {}
    for folder in task.folders("scores"):
        info = read_scores(folder).info
        values = tables.setdefault(info.name, {}).setdefault(info.judge, {})
        for row in read_values(folder):
            values[row.item_id] = {rule: row.values.get(rule) for rule in info.rules}
    return {
        metric if len(judges) == 1 else f"{metric}:{judge}": values
        for metric, judges in tables.items()
        for judge, values in judges.items()
    }

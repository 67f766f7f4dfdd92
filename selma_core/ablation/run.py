"""Runs an ablation: all of its variants and seeds as one graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from selma_core.ablation.done import AblationRun
from selma_core.ablation.opened import OpenAblation, open_ablation
from selma_core.ablation.tables import measure, result_of
from selma_core.collect import judge_warnings
from selma_core.engine import plan_json
from selma_core.events import Event, RunFinished, RunStarted, StageWarning
from selma_core.observers import Observers
from selma_core.partial import PartialScores
from selma_core.preflight import check_needs
from selma_core.record import RunRecord
from selma_core.report_file import try_report
from selma_core.walk import new_run_id, node_results, walk


def ablate(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    store: Path | None = None,
    plugins: Sequence[Path] = (),
    seeds: Sequence[int] = (),
    on_event: Callable[[Event], None] | None = None,
) -> AblationRun:
    """Runs all variants and seeds of an ablation as one graph and compares them.

    Args:
        name_or_path: registry name or YAML file (docs/how-to/write_an_ablation.md).
        overrides: laid over every variant. seeds: in place of those of the file. store, plugins, on_event: as in `run`.

    Raises:
        UserError: the ablation or a recipe is wrong, or a model is not on this machine; nothing ran.
    """
    opened = open_ablation(name_or_path, overrides, store=store, plugins=plugins, seeds=tuple(seeds))
    return run_ablation(opened, on_event)


def run_ablation(opened: OpenAblation, on_event: Callable[[Event], None] | None = None) -> AblationRun:
    """Runs an opened ablation; see `ablate`."""
    ablation, session = opened.ablation, opened.first
    check_needs(opened.plan, opened.sessions.values())
    store, run_id = session.store, new_run_id(ablation.name)
    trackers = session.runtime.build_trackers(session.catalog, session.registry)
    observers = Observers(session.catalog, trackers, on_event)
    emit = PartialScores(opened.sessions, observers, _names(opened))
    head: dict[str, Any] = {"run": run_id, "ablation": ablation.name, "recipe": session.recipe.name}
    record = RunRecord(store, run_id, {"config": {name: one.recipe.data for name, one in opened.sessions.items()}})
    with store.lock(run_id):
        record.write("running", {**head, "stages": plan_json(opened.plan)})
        statuses = {row.id: row.status for row in opened.plan}
        emit(
            RunStarted(
                run_id=run_id, recipe=ablation.name, nodes=statuses, config=session.recipe.data, store=store.root
            )
        )
        warned = {name: judge_warnings(one) for name, one in opened.sessions.items()}
        for name, shared in ((name, one) for name, found in warned.items() for one in found):
            emit(StageWarning(run_id=run_id, node=f"{name}:{shared.scores}", message=shared.line))
        try:
            nodes = node_results(opened.plan, walk(opened.plan, session, run_id, emit), store)
            table = measure(opened, nodes)
            judges = dict.fromkeys(one for found in warned.values() for one in found)
            rows = {
                "shared_judges": [one.to_json() for one in judges],
                "stages": [node.to_json() for node in nodes],
                "seconds": record.seconds,
            }
            result = {**head, **result_of(opened, table), **rows}
        except BaseException:
            record.write("interrupted")
            raise
        finished = AblationRun(
            run_id=run_id,
            opened=opened,
            nodes=nodes,
            store=store.root,
            report=store.run_folder(run_id) / "report.html",
            result=result,
            summaries={row: {name: one.mean for name, one in metrics.items()} for row, metrics in table.items()},
        )
        finished = attrs.evolve(finished, report=try_report(finished, store.run_folder(run_id) / "report.html", emit))
        result["report"] = None if finished.report is None else str(finished.report)
        result["seconds"] = record.seconds
        record.write("done" if finished.ok else "failed", result)
        emit(RunFinished(run_id=run_id, result=result))
    store.lock_file(run_id).unlink(missing_ok=True)
    return finished


def _names(opened: OpenAblation) -> dict[tuple[str, str], str]:
    """(session, variant of its recipe) -> what its scores go by while it runs: the row, with its seed."""
    return {
        (place.session, place.variant): f"{row},seed={seed}" if seed else row
        for row, places in opened.rows.items()
        for seed, place in places.items()
    }

"""`selma_core.run`: a recipe, from its name to its report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from selma_core.collect import agreement_json, comparison_json, judge_warnings, score_json, summaries_of
from selma_core.events import Event, RunFinished, RunStarted, StageWarning
from selma_core.graph.estimate import Estimate
from selma_core.graph.plan import Planned, make_plan, members
from selma_core.observers import Observers
from selma_core.partial import PartialScores
from selma_core.preflight import check_needs
from selma_core.record import RunRecord
from selma_core.report_file import try_report
from selma_core.result import NodeResult, Run
from selma_core.session import Session, open_session
from selma_core.walk import new_run_id, node_results, walk


def run(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    store: Path | None = None,
    plugins: Sequence[Path] = (),
    until: Sequence[str] = (),
    on_event: Callable[[Event], None] | None = None,
) -> Run:
    """Runs a recipe; what is in the store already is reused.

    Examples:
        >>> run = selma_core.run("shapes", ["stages.merge.use=ties"])
        >>> run.result["scores"]["merged"]["dsg"]["mean"]

    Args:
        recipe: registry name or YAML file. overrides: `stages.merge.use=ties`.
        store: default `$SELMA_STORE`, else `./selma-store`. plugins: single-file plugins.
        until: labels or ids of stages to stop at. on_event: gets every event, on this thread.

    Returns:
        the run. A stage that failed does not raise: see `Run.ok` and `Run.failed`; the others are done and stored.

    Raises:
        UserError: the recipe is wrong, or a model is not on this machine; nothing ran.
        StoreError: the store cannot be written.
    """
    return run_session(open_session(recipe, overrides, store=store, plugins=plugins, until=until), on_event)


def run_session(session: Session, on_event: Callable[[Event], None] | None = None) -> Run:
    """Runs an opened recipe; see `run`."""
    recipe = session.recipe
    plan = make_plan(members(session.graph), session.store)
    check_needs(plan, [session])
    run_id = new_run_id(recipe.name)
    trackers = session.runtime.build_trackers(session.catalog, session.registry)
    emit = PartialScores({"": session}, Observers(session.catalog, trackers, on_event))
    extra = {"seed": session.graph.seed, "config": recipe.data, "origins": recipe.origins}
    record = RunRecord(session.store, run_id, extra)
    with session.store.lock(run_id):
        record.write("running", {"run": run_id, "recipe": recipe.name, "stages": plan_json(plan)})
        statuses = {row.id: row.status for row in plan}
        root = session.store.root
        emit(RunStarted(run_id=run_id, recipe=recipe.name, nodes=statuses, config=recipe.data, store=root))
        for shared in judge_warnings(session):
            emit(StageWarning(run_id=run_id, node=shared.scores, message=shared.line))
        try:
            receipts = walk(plan, session, run_id, emit)
            finished = _finish(session, run_id, node_results(plan, receipts, session.store), record, emit)
        except BaseException:
            record.write("interrupted")
            raise
    session.store.lock_file(run_id).unlink(missing_ok=True)
    return finished


def plan_json(plan: Sequence[Planned], expected: Estimate | None = None) -> list[dict[str, Any]]:
    """The `stages` of `selma plan --json`, with the seconds expected of each where an estimate is given."""
    times = None if expected is None else expected.stages
    return [
        {
            "id": row.id,
            "kind": row.node.kind,
            "plugin": row.node.offer.name,
            "fingerprint": row.node.fingerprint,
            "status": row.status,
            **({} if times is None else {"expected_seconds": times.get(row.id)}),
        }
        for row in plan
    ]


def _finish(
    session: Session, run_id: str, nodes: tuple[NodeResult, ...], record: RunRecord, emit: Callable[[Event], None]
) -> Run:
    by_id = {node.id: node for node in nodes}
    summaries = summaries_of(session, by_id)
    report = session.store.run_folder(run_id) / "report.html"
    seed = session.graph.seed
    result: dict[str, Any] = {
        "run": run_id,
        "recipe": session.recipe.name,
        "report": str(report),
        "seconds": record.seconds,
        "stages": [node.to_json() for node in nodes],
        "scores": score_json(summaries, seed),
        "comparisons": comparison_json(summaries, session.recipe.data["report"], seed),
        "agreement": agreement_json(session, by_id),
        "shared_judges": [one.to_json() for one in judge_warnings(session)],
    }
    finished = Run(
        run_id=run_id,
        recipe=session.recipe,
        nodes=nodes,
        store=session.store.root,
        report=report,
        result=result,
        summaries=summaries,
    )
    finished = attrs.evolve(finished, report=try_report(finished, report, emit))
    result["report"] = None if finished.report is None else str(finished.report)
    result["seconds"] = record.seconds
    record.write("done" if finished.ok else "failed", result)
    emit(RunFinished(run_id=run_id, result=result))
    return finished

"""Carries out a plan: jobs through an executor, events to observers, receipts to results. One recipe or many."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import attrs

from selma_core.errors import ArtifactError
from selma_core.events import Event, StageFinished, StageProgress, StageStarted, StageWarning
from selma_core.graph.dispatch import Dispatcher
from selma_core.graph.node import Node
from selma_core.graph.plan import Planned
from selma_core.pool import process_pool
from selma_core.protocols import Receipt
from selma_core.result import NodeResult
from selma_core.stages.jobs import Job

if TYPE_CHECKING:
    from selma_core.session import Session
    from selma_core.store import Store

_log = logging.getLogger("selma")
Emit = Callable[[Event], None]


def new_run_id(name: str) -> str:
    """An id that sorts by time: `20250131-235959-shapes-1f3a`."""
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{safe}-{token_hex(2)}"


def walk(plan: Sequence[Planned], session: Session, run_id: str, emit: Emit) -> dict[str, Receipt]:
    """Runs what a plan says has to run, with the executor of the session.

    Args:
        emit: gets the events of all stages, on this thread.

    Returns:
        fingerprint -> receipt.
    """
    executor = session.runtime.build_executor(session.catalog, session.registry)
    reporter = _Reporter(plan, session.store, run_id, emit)
    dispatcher = Dispatcher(
        executor,
        lambda node: make_job(node, session).to_json(),
        on_start=reporter.started,
        on_event=reporter.event,
        on_finish=reporter.finished,
    )
    try:
        return dispatcher.run(plan)
    finally:
        executor.close()
        process_pool().trim()  # an executor may have run stages in this process, and nobody will ask for their models


def make_job(node: Node, session: Session) -> Job:
    """The job of a node."""
    return Job(
        node=node.id,
        kind=node.kind,
        plugin=node.offer.qualified,
        options=node.options,
        seed=int(node.payload["seed"]),
        inputs=node.input_fingerprints,
        fingerprint=node.fingerprint,
        store=session.store.root,
        device=session.runtime.device,
        threads=session.runtime.threads,
        files=session.catalog.files,
    )


def node_results(plan: Sequence[Planned], receipts: Mapping[str, Receipt], store: Store) -> tuple[NodeResult, ...]:
    """One result per row of a plan."""
    return tuple(_result(row, receipts[row.node.fingerprint], store) for row in plan)


def _result(row: Planned, receipt: Receipt, store: Store) -> NodeResult:
    node, failed = row.node, receipt.outcome == "failed"
    shared = row.shared is not None
    return NodeResult(
        id=row.id,
        label=node.label,
        kind=node.kind,
        plugin=node.offer.name,
        fingerprint=node.fingerprint,
        outcome="reused" if shared and not failed else receipt.outcome,
        seconds=0.0 if shared else receipt.seconds,
        artifact=None if failed else store.artifact(node.fingerprint),
        axes=node.axes,
        reads=tuple(row.id.removesuffix(node.id) + name for name in node.reads),
        warnings=() if failed else _warnings(node.fingerprint, store),
        error=receipt.error,
    )


def _warnings(fingerprint: str, store: Store) -> tuple[str, ...]:
    try:
        return store.manifest(fingerprint).warnings
    except ArtifactError as error:
        return (str(error),)


@attrs.define
class _Reporter:
    """Turns what the dispatcher says into the events of `selma_core.events`."""

    plan: Sequence[Planned]
    store: Store
    run_id: str
    emit: Emit

    def started(self, node: Node) -> None:
        name = self._rows(node.fingerprint)[0].id
        plugin = node.offer.name
        event = StageStarted(run_id=self.run_id, node=name, kind=node.kind, plugin=plugin, fingerprint=node.fingerprint)
        self.emit(event)

    def event(self, fingerprint: str, event: Mapping[str, Any]) -> None:
        name = self._rows(fingerprint)[0].id
        if event["event"] == "progress":
            note = str(event.get("note", ""))
            self.emit(StageProgress(run_id=self.run_id, node=name, done=event["done"], total=event["total"], note=note))
        elif event["event"] == "warning":
            self.emit(StageWarning(run_id=self.run_id, node=name, message=event["message"]))

    def finished(self, receipt: Receipt) -> None:
        if receipt.trace:
            _log.debug("%s", receipt.trace)
        for row in self._rows(receipt.fingerprint):
            found = _result(row, receipt, self.store)
            self.emit(
                StageFinished(
                    run_id=self.run_id,
                    node=found.id,
                    kind=found.kind,
                    plugin=found.plugin,
                    fingerprint=found.fingerprint,
                    outcome=found.outcome,
                    seconds=found.seconds,
                    artifact=found.artifact,
                    error=found.error,
                )
            )

    def _rows(self, fingerprint: str) -> list[Planned]:
        return [row for row in self.plan if row.node.fingerprint == fingerprint]

"""Walks a plan through an executor: inputs before readers, equal fingerprints once; a failure fells only readers."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from graphlib import TopologicalSorter
from typing import Any

from selma_core.graph.node import Node
from selma_core.graph.plan import Planned
from selma_core.protocols import Executor, Receipt

OnEvent = Callable[[str, Mapping[str, Any]], None]


class Dispatcher:
    """One walk. All callbacks come on the thread that made the object and calls `run`.

    Args:
        executor: where jobs run.
        make_job: node -> job (plain JSON).
        on_start: called with a node when its job is handed over.
        on_event: called with a fingerprint and an event of its job.
        on_finish: called with the receipt of every fingerprint, also of those that were in the store.
    """

    def __init__(
        self,
        executor: Executor,
        make_job: Callable[[Node], Mapping[str, Any]],
        *,
        on_start: Callable[[Node], None],
        on_event: OnEvent,
        on_finish: Callable[[Receipt], None],
    ) -> None:
        self._executor = executor
        self._make_job = make_job
        self._on_start = on_start
        self._on_event = on_event
        self._on_finish = on_finish
        # Workers report from any thread; everything is handled on the one that waits here.
        self._inbox: queue.Queue[Callable[[], None]] = queue.Queue()
        self._owner = threading.get_ident()
        self._running = 0

    def run(self, plan: Sequence[Planned]) -> dict[str, Receipt]:
        """Runs what has to run.

        Returns:
            fingerprint -> receipt, for every node of the plan. A reader of a failed node is `failed` too.
        """
        receipts = {row.node.fingerprint: _reused(row.node) for row in plan if row.status == "hit"}
        for receipt in receipts.values():
            self._on_finish(receipt)
        todo = {row.node.fingerprint: row.node for row in plan if row.status in ("run", "suspect")}
        sorter = TopologicalSorter({name: [i for i in _inputs(node) if i in todo] for name, node in todo.items()})
        sorter.prepare()
        place = {name: i for i, name in enumerate(todo)}
        ready: list[str] = []
        while sorter.is_active():
            # In the order of the plan: an ablation's first variant is scored before its second is drawn.
            ready = sorted([*ready, *sorter.get_ready()], key=place.__getitem__)
            for name in self._advance(ready, todo, receipts):
                sorter.done(name)
        return receipts

    def _advance(self, ready: list[str], todo: Mapping[str, Node], receipts: dict[str, Receipt]) -> Iterator[str]:
        """Starts what fits, then waits until something ended; yields the fingerprints that are settled."""
        before = set(receipts)
        felled = False
        while ready and self._running < self._executor.slots and not felled:
            node = todo[ready.pop(0)]
            failed = next(
                (name for name in _inputs(node) if name in receipts and receipts[name].outcome == "failed"), None
            )
            if failed is None:
                self._submit(node, receipts)
            else:
                felled = True
                self._settle(_skipped(node, todo[failed]), receipts)
        while self._running and not set(receipts) - before:
            self._inbox.get()()
        self._drain()
        yield from [name for name in receipts if name not in before]

    def _submit(self, node: Node, receipts: dict[str, Receipt]) -> None:
        self._on_start(node)
        self._running += 1
        name = node.fingerprint

        def note(event: Mapping[str, Any]) -> None:
            if threading.get_ident() == self._owner:  # an executor that runs the job inside submit()
                self._on_event(name, event)
            else:
                self._inbox.put(lambda: self._on_event(name, event))

        def end(future: Future[Receipt]) -> None:
            self._inbox.put(lambda: self._end(node, future, receipts))

        self._executor.submit(self._make_job(node), note).add_done_callback(end)

    def _end(self, node: Node, future: Future[Receipt], receipts: dict[str, Receipt]) -> None:
        self._running -= 1
        error = future.exception()
        if error is not None:  # the executor itself broke; a failed job has a receipt
            line = f"{node.id}: the executor failed: {type(error).__name__}: {error}"
            self._settle(Receipt(fingerprint=node.fingerprint, outcome="failed", seconds=0.0, error=line), receipts)
        else:
            self._settle(future.result(), receipts)

    def _settle(self, receipt: Receipt, receipts: dict[str, Receipt]) -> None:
        receipts[receipt.fingerprint] = receipt
        self._on_finish(receipt)

    def _drain(self) -> None:
        while not self._inbox.empty():
            self._inbox.get_nowait()()


def _inputs(node: Node) -> list[str]:
    return [name for found in node.input_fingerprints.values() for name in found]


def _reused(node: Node) -> Receipt:
    return Receipt(fingerprint=node.fingerprint, outcome="reused", seconds=0.0)


def _skipped(node: Node, failed: Node) -> Receipt:
    line = f"{node.id}: not run, because {failed.id} failed"
    return Receipt(fingerprint=node.fingerprint, outcome="failed", seconds=0.0, error=line)

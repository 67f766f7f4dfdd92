"""The executor `inline`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from selma_core.protocols import Receipt
from selma_core.records import NoOptions
from selma_core.worker import run_job


class InlineExecutor:
    """Runs each job inside `submit`, on the caller's thread: easy to debug, Ctrl-C stops at once."""

    slots = 1

    def __init__(self, options: NoOptions | None = None) -> None:
        """Takes no options."""

    def submit(self, job: Mapping[str, Any], on_event: Callable[[Mapping[str, Any]], None]) -> Future[Receipt]:
        """Runs the job; the future it returns is done."""
        future: Future[Receipt] = Future()
        future.set_result(run_job(job, on_event))
        return future

    def close(self) -> None:
        """Has nothing to end."""

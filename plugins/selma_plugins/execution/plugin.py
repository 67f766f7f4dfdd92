"""Offers the executors."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import ExecutorRecord
from selma_plugins.execution.options import ProcessOptions


@hookimpl
def selma_executors() -> Iterator[ExecutorRecord]:
    """`inline` and `process`."""
    yield ExecutorRecord(
        name="inline",
        summary="one stage after the other, in this process",
        factory="selma_plugins.execution.inline:InlineExecutor",
    )
    yield ExecutorRecord(
        name="process",
        summary="stages side by side, in worker processes of this machine, one GPU each",
        factory="selma_plugins.execution.process:ProcessExecutor",
        options=ProcessOptions,
    )

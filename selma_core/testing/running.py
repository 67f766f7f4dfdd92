"""Conformance of executors and trackers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from selma_core import events
from selma_core.protocols import Receipt
from selma_core.testing.require import ConformanceError, require, require_protocol

_TIMEOUT = 120.0


def check_executor(factory: Callable[[Any], Any], options: Any, *, job: Mapping[str, Any] | None = None) -> None:
    """Submits a job that cannot work: the answer must be a receipt, not an exception.

    Args:
        job: a job that fails; by default one that is no job at all.

    Raises:
        ConformanceError: an exception instead of a receipt, no slots, a second `close` that fails.
    """
    executor = factory(options)
    require_protocol(executor, "executor")
    require(isinstance(executor.slots, int) and executor.slots >= 1, "slots must be at least 1")
    try:
        receipt = executor.submit(job or {"fingerprint": "0" * 64}, lambda event: None).result(timeout=_TIMEOUT)
    except Exception as error:
        raise ConformanceError(
            f"a job that fails must give a Receipt, not raise {type(error).__name__}: {error}"
        ) from error
    finally:
        executor.close()
    require(isinstance(receipt, Receipt), f"the future must hold a Receipt, not a {type(receipt).__name__}")
    require(
        receipt.outcome == "failed" and bool(receipt.error), "a failed job's receipt needs outcome 'failed' and error"
    )
    executor.close()


def check_tracker(factory: Callable[[Any], Any], options: Any) -> None:
    """Shows a tracker one event of each type, and one that it cannot know.

    Raises:
        ConformanceError: it fails on any of them.
    """
    tracker = factory(options)
    require_protocol(tracker, "tracker")
    for event in (*example_events(), object()):
        try:
            tracker.on_event(event)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            message = f"on_event failed on {type(event).__name__} ({what}); ignore the events you do not know"
            raise ConformanceError(message) from error


def example_events() -> tuple[events.Event, ...]:
    """One event of every type, in the order of a run."""
    stage = {
        "run_id": "run",
        "node": "merge",
        "kind": "merge_strategy",
        "plugin": "selma/linear",
        "fingerprint": "0" * 64,
    }
    finished: dict[str, Any] = {**stage, "outcome": "ran", "seconds": 1.0, "artifact": Path("artifact")}
    return (
        events.RunStarted(run_id="run", recipe="example", nodes={"merge": "run"}, config={}),
        events.StageStarted(**stage),
        events.StageProgress(run_id="run", node="merge", done=1, total=2),
        events.StageWarning(run_id="run", node="merge", message="one line"),
        events.StageFinished(**finished),
        events.RunFinished(run_id="run", result={"run": "run", "scores": {}}),
    )

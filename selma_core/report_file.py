"""The report of what is done, written so that a report which fails costs nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from selma_core.events import Event, StageWarning
from selma_core.report import write_report
from selma_core.report.source import ReportSource

_log = logging.getLogger("selma")


def try_report(source: ReportSource, path: Path, emit: Callable[[Event], None]) -> Path | None:
    """Writes a report; None, and a warning among the events, when it cannot be written."""
    try:
        return write_report(source, path)
    except Exception as error:  # hours of results must not be lost with their picture
        _log.debug("", exc_info=error)
        line = f"the report cannot be written: {type(error).__name__}: {error}"
        emit(StageWarning(run_id=source.run_id, node="report", message=line))
        return None

"""Runs jobs in a process of its own: `python -m selma_core.worker JOB.json`, or `--serve` for an executor's pool.

Events and the receipt go to stdout as JSON lines. Whatever plugins print goes to stderr.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

import attrs

from selma_core.catalog import Catalog
from selma_core.errors import SelmaError
from selma_core.files import sha256_file
from selma_core.protocols import Receipt
from selma_core.registry import Registry
from selma_core.stages.execute import Report, execute
from selma_core.stages.jobs import Job


def run_job(data: Mapping[str, Any], report: Report) -> Receipt:
    """Runs a job in this process: what executors call.

    Everything is found by name, so that a job means the same in every process.

    Args:
        data: `Job.to_json()`. report: gets progress and warning events as JSON.
    """
    try:
        job = Job.from_json(data)
        catalog = _catalog(job.files, tuple(map(_digest, job.files)), os.environ.get("SELMA_PLUGINS"), tuple(sys.path))
        registry = Registry(catalog.registry_sources())
    except SelmaError as error:
        name = str(data.get("fingerprint", ""))
        return Receipt(fingerprint=name, outcome="failed", seconds=0.0, error=f"{data.get('node')}: {error}")
    return execute(job, catalog, registry, report)


@lru_cache(maxsize=1)
def _catalog(files: tuple[Path, ...], _digests: tuple[str, ...], select: str | None, _path: tuple[str, ...]) -> Catalog:
    """The plugins, discovered once for all jobs that see the same ones."""
    return Catalog.discover(files, select=select)


def _digest(file: Path) -> str:
    return sha256_file(file) if file.is_file() else ""


def main(arguments: Sequence[str]) -> int:
    """The command line. Returns 0, or 1 when the job failed, or 2 for a wrong call."""
    if list(arguments) == ["--serve"]:
        return _serve()
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m selma_core.worker JOB.json | --serve", file=sys.stderr)
        return 2
    send = _claim_stdout()
    return 0 if _run_file(arguments[0], send) else 1


def _serve() -> int:
    """Runs job files named on stdin, one a line, until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    send = _claim_stdout()
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    send({"event": "ready"})
    while True:
        _run_file(lines.get().strip(), send)


def _listen(lines: queue.Queue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    # The parent is gone or wants no more. Nothing is lost: a killed stage resumes.
    os._exit(0)


def _run_file(path: str, send: Callable[[Mapping[str, Any]], None]) -> bool:
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        receipt = Receipt(fingerprint="", outcome="failed", seconds=0.0, error=f"{path}: is no job: {error}")
    else:
        receipt = run_job(data, send)
    send({"event": "receipt", **attrs.asdict(receipt)})
    return receipt.outcome != "failed"


def _claim_stdout() -> Callable[[Mapping[str, Any]], None]:
    """Keeps stdout for JSON lines; prints of plugins and of C libraries are led to stderr."""
    channel: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    lock = threading.Lock()

    def send(event: Mapping[str, Any]) -> None:
        with lock:
            channel.write(json.dumps(event) + "\n")
            channel.flush()

    return send


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

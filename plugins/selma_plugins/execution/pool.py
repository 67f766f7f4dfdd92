"""One worker process and the talk with it: job files out, JSON lines back."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from selma_core.protocols import Receipt

_TAIL = 300  # characters of a dead worker's last words


class WorkerDiedError(Exception):
    """A worker ended without a receipt. Attributes: seconds = how long it had worked on the job."""

    def __init__(self, line: str, seconds: float) -> None:
        super().__init__(line)
        self.seconds = seconds


class Worker:
    """A process `python -m selma_core.worker --serve`; used by one thread at a time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Starts the process."""
        self._folder = tempfile.TemporaryDirectory(prefix="selma-worker-")
        self._log = Path(self._folder.name) / "stderr.txt"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "selma_core.worker", "--serve"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(environment),
                text=True,
                encoding="utf-8",
            )

    def run(self, job: Mapping[str, Any], on_event: Callable[[Mapping[str, Any]], None]) -> Receipt:
        """Runs one job and passes its events on.

        Raises:
            WorkerDiedError: when the process ends before the receipt, for whatever reason.
        """
        start = time.monotonic()
        path = Path(self._folder.name) / "job.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{path}\n")
            self._process.stdin.flush()
        except OSError:
            raise WorkerDiedError(self._last_words(), time.monotonic() - start) from None
        for line in self._process.stdout:
            event = json.loads(line)
            if event["event"] == "receipt":
                return Receipt(**{key: value for key, value in event.items() if key != "event"})
            if event["event"] != "ready":
                on_event(event)
        raise WorkerDiedError(self._last_words(), time.monotonic() - start)

    def kill(self) -> None:
        """Ends the process and whatever it was doing."""
        self._process.kill()
        self._process.wait()

    def clean_up(self) -> None:
        """Drops the pipes and the folder of an ended process; no thread may be in `run` any more."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # an unflushed line to a process that is gone
                    pipe.close()
        self._folder.cleanup()

    def _last_words(self) -> str:
        code = self._process.wait()
        text = " ".join(self._log.read_text(encoding="utf-8", errors="replace").split()) if self._log.exists() else ""
        how = f"was killed by {_signal(-code)}" if code < 0 else f"ended with code {code}"
        oom = " (the usual reason is too little memory)" if code == -signal.SIGKILL else ""
        said = f"; its last words: ...{text[-_TAIL:]}" if text else ""
        return f"the worker process {how}{oom}; run again to go on from what it had finished{said}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

"""A process that answers lines with lines."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Sequence
from typing import IO

_TAIL = 300  # characters of stderr that go into an error line
_LONGEST = 2**20  # characters of an answer
_OURS = frozenset({"PYTHONPATH", "PYTHONHOME"})  # they say where our packages are, not where the worker's are
_GRACE = 5.0  # seconds to end by itself after its stdin has been closed


class ChildError(Exception):
    """The process gave no answer: it ended, it hung, or it cannot be written to. One line."""


class Child:
    """A running worker; one request at a time."""

    def __init__(self, command: Sequence[str]) -> None:
        """Starts it, without a shell.

        Raises:
            OSError: there is no such program, or it may not be run.
        """
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `_end`)
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            encoding="utf-8",
            env={name: value for name, value in os.environ.items() if name not in _OURS},
            start_new_session=True,  # a wrapper (`conda run`) is ended with all that it started
        )
        assert self._process.stdout is not None
        self._answers: queue.Queue[str] = queue.Queue()
        # The thread holds the pipe only: it must not keep this object, whose end is the process's end, alive.
        reading = threading.Thread(target=_read, args=(self._process.stdout, self._answers), daemon=True)
        reading.start()
        self._end = weakref.finalize(self, _end, self._process, self._stderr, reading)

    def ask(self, line: str, timeout: float) -> str:
        """The line that answers a line.

        Raises:
            ChildError: no answer within `timeout` seconds, or none will come.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._answers.get(timeout=timeout)
        except queue.Empty:
            raise ChildError(f"no answer within {timeout:g} s{self._last_words()}") from None
        except OSError:
            answer = ""
        if not answer:
            raise ChildError(self._how_it_ended())
        return answer

    def stop(self) -> None:
        """Ends the process at once if it is still there; a second call does nothing."""
        _kill(self._process)
        self._end()

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            return f"the worker closed its output{self._last_words()}"
        if code >= 0:
            return f"the worker ended with code {code}{self._last_words()}"
        with contextlib.suppress(ValueError):
            return f"the worker was killed by {signal.Signals(-code).name}{self._last_words()}"
        return f"the worker was killed by signal {-code}{self._last_words()}"

    def _last_words(self) -> str:
        self._stderr.seek(0, 2)
        self._stderr.seek(max(0, self._stderr.tell() - 4 * _TAIL))
        text = " ".join(self._stderr.read().decode("utf-8", errors="replace").split())
        return f"; its last words: {text[-_TAIL:]}" if text else ""


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)


def _read(pipe: IO[str], answers: queue.Queue[str]) -> None:
    """Lines to the queue, and "" at the end; what is not UTF-8, or far too long, is the end too."""
    with contextlib.suppress(OSError, ValueError):
        while line := pipe.readline(_LONGEST):
            answers.put(line)
    answers.put("")


def _end(process: subprocess.Popen[str], stderr: IO[bytes], reading: threading.Thread) -> None:
    with contextlib.suppress(OSError):
        assert process.stdin is not None
        process.stdin.close()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        _kill(process)
        process.wait()
    reading.join(_GRACE)
    if not reading.is_alive() and process.stdout is not None:
        process.stdout.close()
    stderr.close()

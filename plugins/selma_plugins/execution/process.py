"""The executor `process`: a pool of worker processes, each used for one stage after the other."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from selma_core.protocols import Receipt
from selma_plugins.execution.gpus import visible_gpus
from selma_plugins.execution.options import ProcessOptions
from selma_plugins.execution.pool import Worker, WorkerDiedError


class ProcessExecutor:
    """Runs jobs in worker processes; a worker imports torch once and lives until `close`.

    On a machine with GPUs every worker sees one of them.
    """

    def __init__(self, options: ProcessOptions | None = None) -> None:
        """Starts no process yet: the first job of each slot does."""
        self._gpus = visible_gpus()
        workers = (options or ProcessOptions()).workers
        self._slots = _auto(len(self._gpus)) if workers == "auto" else int(workers)
        self._threads = ThreadPoolExecutor(self._slots, thread_name_prefix="selma-executor")
        self._lock = threading.Lock()
        self._all: list[Worker] = []
        self._idle: list[Worker] = []
        self._closed = False

    @property
    def slots(self) -> int:
        """How many stages run at once."""
        return self._slots

    def submit(self, job: Mapping[str, Any], on_event: Callable[[Mapping[str, Any]], None]) -> Future[Receipt]:
        """Hands a job to an idle worker, or to a new one."""
        return self._threads.submit(self._run, job, on_event)

    def close(self) -> None:
        """Ends all workers, busy or not; a stage that was running resumes in the next run."""
        with self._lock:
            self._closed = True
            workers = list(self._all)
        for worker in workers:
            worker.kill()
        self._threads.shutdown(cancel_futures=True)
        for worker in workers:
            worker.clean_up()

    def _run(self, job: Mapping[str, Any], on_event: Callable[[Mapping[str, Any]], None]) -> Receipt:
        worker = self._take(job)
        try:
            receipt = worker.run(job, on_event)
        except WorkerDiedError as error:
            line = f"{job['node']}: {error}"
            return Receipt(fingerprint=str(job["fingerprint"]), outcome="failed", seconds=error.seconds, error=line)
        with self._lock:
            self._idle.append(worker)
        return receipt

    def _take(self, job: Mapping[str, Any]) -> Worker:
        with self._lock:
            if self._closed:
                raise RuntimeError("the executor is closed")
            if self._idle:
                return self._idle.pop()
            worker = Worker(_environment(job, self._gpus, len(self._all)))
            self._all.append(worker)
            return worker


def _auto(gpus: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return gpus or min(4, cores)


def _environment(job: Mapping[str, Any], gpus: tuple[str, ...], number: int) -> dict[str, str]:
    """What a new worker sees: its own GPU, unless the recipe names a device, and the run's thread count."""
    environment = dict(os.environ)
    environment["OMP_NUM_THREADS"] = str(job.get("threads", 1))
    if gpus and job.get("device", "auto") == "auto":
        environment["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
    return environment

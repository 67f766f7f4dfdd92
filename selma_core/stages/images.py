"""Stage `image_generator`: every image is a file of its own as soon as it is drawn; the metadata comes last."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from selma_core.artifacts.images import IMPORT, clashing_names, image_row, png_bytes, write_images
from selma_core.artifacts.jsonl import Appender, repair
from selma_core.data import ImageRequest, Prompt
from selma_core.errors import StageError
from selma_core.files import sha256_file, writing
from selma_core.protocols import Found, ImageImporter, ImageJob
from selma_core.seeds import sample_seed
from selma_core.stages.imported import found_requests, report_import
from selma_core.stages.task import Task

if TYPE_CHECKING:
    from PIL.Image import Image

_WRITERS = 2
_BACKLOG = 32  # images held in memory while the disk is slower than the model


def run_images(task: Task) -> None:
    """Draws what is not drawn yet, then writes the metadata in request order: a resumed run equals a straight one."""
    prompts, importer = task.prompts(), task.implementation
    found = importer.find(prompts, task.context) if isinstance(importer, ImageImporter) else None
    requests = _requests(task, prompts, found)
    by_name = {request.file_name: request for request in requests}
    record = task.scratch / "drawn.jsonl"
    drawn = _still_valid(record, task.out, by_name)
    left = tuple(request for request in requests if request.file_name not in drawn)
    if left:
        one, several = task.adapter(), task.adapters()
        if one is not None and several:
            raise StageError("both 'adapter' and 'adapters' are given; take one of the two ports")
        job = ImageJob(context=task.context, requests=left, adapter=one, adapters=several)
        with _Writer(task.out, record, drawn) as writer:
            _draw(task, job, writer, len(requests))
    if found is not None:
        requests = report_import(task, found, prompts, requests, drawn)
    missing = [request.file_name for request in requests if request.file_name not in drawn]
    if missing:
        raise StageError(f"the generator left out {len(missing)} of {len(requests)} images, first: {missing[0]}")
    _sweep(task.out, {*by_name, IMPORT} if found is not None else set(by_name))
    rows = [image_row(request, drawn[request.file_name], imported=found is not None) for request in requests]
    write_images(task.out, rows)


def _requests(task: Task, prompts: tuple[Prompt, ...], found: Found | None) -> tuple[ImageRequest, ...]:
    seed = task.context.seed
    if found is not None:
        requests = found_requests(found, prompts, seed)
    else:
        requests = tuple(
            ImageRequest(prompt=prompt, k=k, seed=sample_seed(seed, prompt.id, k))
            for prompt in prompts
            for k in range(task.implementation.images_per_prompt)
        )
    clash = clashing_names(requests)
    if clash is not None:
        raise StageError(f"images '{clash[0]}' and '{clash[1]}' would get one file name; change a prompt id")
    return requests


def _still_valid(record: Path, out: Path, by_name: Mapping[str, ImageRequest]) -> dict[str, str]:
    """file name -> sha256 of the images that an earlier attempt finished; their bytes are checked."""
    found = {}
    for row in repair(record):
        name, sha256 = row.take("file_name", str), row.take("sha256", str)
        if name in by_name and (out / name).is_file() and sha256_file(out / name) == sha256:
            found[name] = sha256
    return found


def _draw(task: Task, job: ImageJob, writer: _Writer, total: int) -> None:
    done = total - len(job.requests)
    open_requests = {request.file_name: request for request in job.requests}
    task.context.progress(done, total)
    for request, image in task.implementation.images(job):
        if open_requests.pop(request.file_name, None) != request:
            raise StageError(f"the generator gave an image that was not asked for: {request.file_name}")
        writer.add(request.file_name, image)
        done += 1
        task.context.progress(done, total)


def _sweep(out: Path, wanted: set[str]) -> None:
    """Drops half-written files that a killed attempt left."""
    for path in out.iterdir():
        if path.name not in wanted:
            path.unlink()


class _Writer:
    """Encodes and writes off the drawing thread; an image is recorded as soon as its file is complete, never before."""

    def __init__(self, out: Path, record: Path, drawn: dict[str, str]) -> None:
        self._out = out
        self._drawn = drawn
        self._record = Appender(record)
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_WRITERS, thread_name_prefix="selma-png")
        self._pending: deque[Future[None]] = deque()

    def add(self, name: str, image: Image) -> None:
        """Hands an image over; waits only when too many are pending. Raises what an earlier write raised."""
        self._pending.append(self._pool.submit(self._store, name, image))
        while self._pending and (len(self._pending) > _BACKLOG or self._pending[0].done()):
            self._pending.popleft().result()

    def _store(self, name: str, image: Image) -> None:
        sha256 = _write(self._out / name, image)
        with self._lock:
            self._record.add({"file_name": name, "sha256": sha256})
            self._drawn[name] = sha256

    def __enter__(self) -> _Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()  # waits, also after an error: every image that was drawn and fits on the disk is kept
        self._record.__exit__(kind, error, trace)
        if error is None:
            for future in self._pending:
                future.result()


def _write(path: Path, image: Image) -> str:
    """Writes one PNG whole or not at all. No fsync here: a resume checks the hash, and the store syncs at the end."""
    data = png_bytes(image)
    part = path.with_name(f".{path.name}.part")
    with writing(path):
        part.write_bytes(data)
        part.replace(path)
    return hashlib.sha256(data).hexdigest()

"""The digest of a model folder; hashes of unchanged files are remembered, so that a second look costs no reading."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from selma_core.errors import ModelError, StoreError
from selma_core.files import make_folder, sha256_file, write_bytes
from selma_core.models.cache import cache_root

# A file changed within this time of its hashing may change again without a new time stamp.
_FRESH_NS = 2_000_000_000


def folder_digest(path: Path) -> str:
    """sha256 over the sorted (relative path, sha256) of every file below a folder; of a file: its own sha256.

    Hidden files and folders (`.cache`, `.gitattributes`) do not count.

    Raises:
        ModelError: when a file cannot be read.
    """
    path = path.resolve()
    try:
        if path.is_file():
            return _remembered(path.parent, [path])[path.name]
        hashes = _remembered(path, list(_files(path)))
    except OSError as error:
        raise ModelError(f"{error.filename or path}: cannot be read: {error.strerror or error}") from error
    digest = hashlib.sha256()
    for name in sorted(hashes):
        digest.update(f"{name}\n{hashes[name]}\n".encode())
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(root) / name


def _remembered(folder: Path, files: list[Path]) -> dict[str, str]:
    book = cache_root() / "digests" / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:24]}.json"
    known = _read(book)
    result: dict[str, str] = {}
    fresh: dict[str, list[object]] = {}
    for file in files:
        name, state = file.relative_to(folder).as_posix(), file.stat()
        row = known.get(name)
        if row is None or row[:2] != [state.st_size, state.st_mtime_ns]:
            row = [state.st_size, state.st_mtime_ns, sha256_file(file)]
            if time.time_ns() - state.st_mtime_ns > _FRESH_NS:
                fresh[name] = row
        result[name] = str(row[2])
    if fresh:
        _write(book, {**known, **fresh})
    return result


def _read(book: Path) -> dict[str, list[object]]:
    with suppress(OSError, ValueError):
        loaded = json.loads(book.read_text())
        return {name: row for name, row in loaded.items() if isinstance(row, list) and len(row) == 3}
    return {}


def _write(book: Path, rows: dict[str, list[object]]) -> None:
    # only speed depends on it: a read-only or full cache must not stop anyone
    with suppress(OSError, StoreError):
        make_folder(book.parent)
        write_bytes(book, json.dumps(rows).encode())

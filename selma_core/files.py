"""Files written so that a kill or a full disk never leaves half a file under a final name."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selma_core.errors import StoreError

# What a healthy program can meet on a healthy machine, with what the user may do about it.
_DISK = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EFBIG: "the file is over the size limit of this machine (ulimit -f); raise it and run again",
    errno.EACCES: "permission denied; choose another folder with --store or SELMA_STORE",
    errno.EPERM: "operation not permitted; choose another folder with --store or SELMA_STORE",
    errno.EROFS: "the file system is read-only; choose another folder with --store or SELMA_STORE",
    errno.ENOTDIR: "a file is in the way; choose another folder with --store or SELMA_STORE",
    errno.EEXIST: "a file is in the way; choose another folder with --store or SELMA_STORE",
}


def disk_error(error: OSError, path: Path | str) -> StoreError | None:
    """The `StoreError` for an `OSError` that means "cannot write here", else None."""
    advice = _DISK.get(error.errno or 0)
    where = error.filename if isinstance(error.filename, str) else path
    return None if advice is None else StoreError(f"cannot write {where}: {advice}")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a full disk or a missing permission inside the block into a `StoreError` that names the path."""
    try:
        yield
    except OSError as error:
        known = disk_error(error, path)
        if known is None:
            raise
        raise known from error


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a whole file or nothing: a temporary neighbour, fsync, rename."""
    part = path.with_name(f".{path.name}.part")
    with writing(path):
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON by `write_bytes`; NaN is refused because JSON has none."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def make_folder(path: Path) -> Path:
    """Makes a folder with its parents.

    Raises:
        StoreError: when it cannot be made; the message names the path.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def sha256_file(path: Path) -> str:
    """sha256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_blob_file(path: Path) -> str:
    """The id that git gives a file's bytes (`git hash-object`): sha1 of `blob <size>`, a zero byte, the bytes."""
    with path.open("rb") as file:
        digest = hashlib.sha1(b"blob %d\0" % os.fstat(file.fileno()).st_size, usedforsecurity=False)
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def sync_folder(folder: Path) -> None:
    """fsync of every file below a folder, and of the folders themselves."""
    with writing(folder):
        for path in [*folder.rglob("*"), folder]:
            _sync(path)


def sync_path(path: Path) -> None:
    """fsync of one file or folder: makes a rename inside a folder durable."""
    with writing(path):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

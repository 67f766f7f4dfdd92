"""Finds a cut download before a model is loaded: a safetensors header says how long the file must be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from selma_core.errors import ModelError

# The format's own limit for the header (safetensors README): 100 MB.
_MAX_HEADER = 100_000_000


def check_safetensors(path: Path) -> None:
    """Checks that a `.safetensors` file is as long as its header says; reads the header only.

    Raises:
        ModelError: naming the file, and how many bytes are missing.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(_MAX_HEADER, size - 8):
            raise _broken(path, "is truncated or no safetensors file: its header is not whole")
        header = _header(path, file.read(length))
    expected = 8 + length + _data_size(path, header)
    if size != expected:
        raise _broken(path, f"is {'truncated' if size < expected else 'too long'}: {size} of {expected} bytes")


def check_folder(path: Path) -> None:
    """`check_safetensors` for every such file below a folder, or for the file itself."""
    files = [path] if path.is_file() else sorted(path.rglob("*.safetensors"))
    for file in files:
        if file.suffix == ".safetensors":
            check_safetensors(file)


def _header(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw)
    except ValueError as error:
        raise _broken(path, "is damaged: its header is not JSON") from error
    if not isinstance(header, dict):
        raise _broken(path, "is damaged: its header is not a JSON object")
    return header


def _data_size(path: Path, header: dict[str, Any]) -> int:
    try:
        ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _broken(path, "is damaged: a tensor has no data offsets") from error
    return max(ends, default=0)


def _broken(path: Path, what: str) -> ModelError:
    return ModelError(f"{path}: {what}; fetch or copy the file again")

"""Reading the header of a safetensors file, to say in one line what is wrong with a broken one. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from selma_core.errors import ArtifactError

_LIMIT = 100_000_000  # bytes: the format's own limit of a header


@attrs.frozen
class TensorHeader:
    """What a safetensors file says of itself.

    Attributes:
        shapes: tensor name -> shape.
        metadata: the free text fields of the header.
    """

    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]


def read_header(path: Path) -> TensorHeader:
    """Reads and checks the header of a safetensors file.

    Raises:
        ArtifactError: when the file is missing, is no safetensors file, or is not as long as its header says.
    """
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file")
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(_LIMIT, size - 8):
            raise _broken(path, "is truncated or no safetensors file: its header is not whole")
        header = _parse(path, file.read(length))
    metadata = header.pop("__metadata__", {})
    try:
        ends = [int(entry["data_offsets"][1]) for entry in header.values()]
        shapes = {name: tuple(map(int, entry["shape"])) for name, entry in header.items()}
    except (KeyError, TypeError, ValueError, IndexError):
        raise _broken(path, "is damaged: a tensor has no data offsets or no shape") from None
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        raise _broken(path, f"is {'truncated' if size < expected else 'too long'}: {size} of {expected} bytes")
    return TensorHeader(shapes, metadata)


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw)
    except ValueError:
        raise _broken(path, "is damaged: its header is not JSON") from None
    if not isinstance(header, dict):
        raise _broken(path, "is damaged: its header is not a JSON object")
    return header


def _broken(path: Path, what: str) -> ArtifactError:
    return ArtifactError(f"{path}: {what}; fetch or copy the file again")

"""Rewriting a safetensors file tensor by tensor: other values, another type, all else byte for byte."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selma_core.artifacts.tensor_reader import DTYPES, TensorReader, width
from selma_core.errors import ArtifactError
from selma_core.files import writing

if TYPE_CHECKING:
    import torch

# The types of weights that `--dtype` changes; token ids and masks stay what they are.
_FLOATS = {"F64", "F32", "F16", "BF16"}
NAMES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}


def rewrite(
    reader: TensorReader, out: Path, added: Callable[[str], torch.Tensor | None], dtype: str | None = None
) -> None:
    """Writes a copy of a safetensors file.

    Args:
        added: what to add to a tensor (fp32, its shape), by name; None leaves it. Called once for each.
        dtype: of all floating tensors of the copy; None keeps each in its own.

    Raises:
        ArtifactError: a sum holds NaN or infinity; the message names the tensor.
    """
    kinds = {name: _kind(entry.dtype, dtype) for name, entry in reader.entries.items()}
    # Wide types first, as the format's library does: torch needs numbers at multiples of their size.
    order = sorted(kinds, key=lambda name: (-width(kinds[name]), reader.entries[name].start))
    with writing(out), out.open("wb") as file:
        file.write(_header(reader, order, kinds))
        for name in order:
            change = added(name)
            if change is None and kinds[name] == reader.entries[name].dtype:
                file.write(reader.raw(name))
            else:
                file.write(_bytes(_sum(reader, name, change, kinds[name])))
        file.flush()
        os.fsync(file.fileno())


def _kind(own: str, wanted: str | None) -> str:
    return NAMES[wanted] if wanted is not None and own in _FLOATS else own


def _header(reader: TensorReader, order: list[str], kinds: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": dict(sorted(reader.metadata.items()))} if reader.metadata else {}
    end = 0
    for name in order:
        shape = reader.entries[name].shape
        start, end = end, end + math.prod(shape) * width(kinds[name])
        header[name] = {"dtype": kinds[name], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _sum(reader: TensorReader, name: str, change: torch.Tensor | None, kind: str) -> torch.Tensor:
    import torch

    wanted: torch.dtype = getattr(torch, DTYPES[kind])
    value = reader.get(name)
    if change is not None:
        value = value.to(torch.float32) + change
    result = value.to(wanted)
    if not bool(torch.isfinite(result).all()):
        raise ArtifactError(f"{reader.path}: tensor '{name}' holds NaN or infinity in {DTYPES[kind]}")
    return result


def _bytes(value: torch.Tensor) -> memoryview:
    import torch

    return value.contiguous().flatten().view(torch.uint8).numpy().data

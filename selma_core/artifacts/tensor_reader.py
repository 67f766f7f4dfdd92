"""Reading a safetensors file tensor by tensor through one open file: memory stays at one tensor, whatever the file.

Not through `safetensors.safe_open`: its tensors are views of one memory map, so every page that was read stays counted
until the file is closed (a merge of five SDXL adapters would grow by all of them), and opening the file anew for each
tensor parses its header each time.
"""

from __future__ import annotations

import json
import math
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from selma_core.artifacts.tensor_file import read_header
from selma_core.errors import ArtifactError

if TYPE_CHECKING:
    import torch

DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


@attrs.frozen
class Entry:
    """Where a tensor lies. Attributes: dtype = the format's name of its type; start, end = bytes of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class TensorReader:
    """A safetensors file, opened once; safe to read from several threads.

    Attributes:
        path: the file. entries: its tensors, in the order they lie in. metadata: the text fields of its header.

    Raises:
        ArtifactError: missing, truncated or no safetensors file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metadata: Mapping[str, str] = read_header(path).metadata
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        length = int.from_bytes(os.pread(self._file, 8, 0), "little")
        header = json.loads(os.pread(self._file, length, 8))
        header.pop("__metadata__", None)
        self.entries: dict[str, Entry] = {
            name: self._entry(name, item, 8 + length)
            for name, item in sorted(header.items(), key=lambda pair: (pair[1]["data_offsets"], pair[0]))
        }

    def raw(self, name: str) -> bytearray:
        """The bytes of a tensor, as they lie in the file.

        Raises:
            ArtifactError: when the file was cut since it was opened.
        """
        entry = self.entries[name]
        data = bytearray(entry.end - entry.start)
        view, done = memoryview(data), 0
        while done < len(data):  # one call reads 2 GB at most
            got = os.preadv(self._file, [view[done:]], entry.start + done)
            if got == 0:
                raise ArtifactError(f"{self.path}: tensor '{name}' cannot be read; the file has changed")
            done += got
        return data

    def get(self, name: str) -> torch.Tensor:
        """A tensor in its own type, on the CPU, in memory of its own."""
        import torch

        entry = self.entries[name]
        dtype: torch.dtype = getattr(torch, DTYPES[entry.dtype])
        data = self.raw(name)
        if not data:
            return torch.empty(entry.shape, dtype=dtype)
        return torch.frombuffer(data, dtype=dtype).reshape(entry.shape)

    def finite(self, name: str) -> torch.Tensor:
        """A tensor in fp32.

        Raises:
            ArtifactError: it holds NaN or infinity; the message names it.
        """
        import torch

        value = self.get(name).to(torch.float32)
        if not finite(value):
            raise ArtifactError(f"{self.path}: tensor '{name}' holds NaN or infinity")
        return value

    def _entry(self, name: str, item: Mapping[str, object], base: int) -> Entry:
        dtype, shape, span = str(item.get("dtype")), item["shape"], item["data_offsets"]
        if dtype not in DTYPES:
            raise ArtifactError(f"{self.path}: tensor '{name}' has the type {dtype}, which is not read here")
        if not isinstance(shape, list) or not isinstance(span, list):
            raise ArtifactError(f"{self.path}: tensor '{name}' has no shape or no offsets; fetch the file again")
        entry = Entry(dtype, tuple(map(int, shape)), base + int(span[0]), base + int(span[1]))
        if math.prod(entry.shape) * width(dtype) != entry.end - entry.start:
            raise ArtifactError(f"{self.path}: tensor '{name}' is not as long as its shape says; fetch the file again")
        return entry


def finite(value: torch.Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinity; one pass and no memory where it does not."""
    # NaN and infinity reach the sum, so a finite one settles it; one that is not may be mere overflow.
    return math.isfinite(float(value.sum())) or bool(value.isfinite().all())


def width(dtype: str) -> int:
    """Bytes of one number: the digits of the type's name, in bits."""
    return 1 if dtype in {"BOOL", "F8_E4M3", "F8_E5M2"} else int(dtype.lstrip("BFIU")) // 8

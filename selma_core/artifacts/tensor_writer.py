"""Writing a safetensors file tensor by tensor: memory stays at one tensor, whatever the file."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from selma_core.files import writing

if TYPE_CHECKING:
    import torch

_DTYPES = {"torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16"}


class TensorWriter:
    """A context manager: `add` tensors in any order, `finish` with the text fields; without `finish` no file appears.

    The header comes first in the format and is known last. So `room` bytes are kept free for it, the tensors follow at
    once, and the header is filled up with spaces; where it is longer than that, the tensors are copied behind it.

    Attributes:
        path: the file. room: bytes for the header; a good guess saves writing everything twice.
    """

    def __init__(self, path: Path, room: int = 0) -> None:
        self.path = path
        self.room = room + -room % 8  # the format aligns the tensors to 8 bytes
        self._part = path.with_name(f".{path.name}.part")
        self._body = path.with_name(f".{path.name}.body")
        self._entries: dict[str, dict[str, Any]] = {}
        self._end = 0
        with writing(path):
            self._file = self._body.open("w+b")
            self._file.seek(8 + self.room)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # on a full disk closing fails again: what is buffered still does not fit
            self._file.close()
        self._body.unlink(missing_ok=True)
        self._part.unlink(missing_ok=True)

    def add(self, name: str, value: torch.Tensor) -> None:
        """Appends a tensor (float32, float16 or bfloat16; any device)."""
        import torch

        data = value.detach().to("cpu").contiguous()
        raw = data.flatten().view(torch.uint8).numpy()
        with writing(self.path):
            self._file.write(raw.data)
        span = [self._end, self._end + raw.size]
        self._entries[name] = {"dtype": _DTYPES[str(data.dtype)], "shape": list(data.shape), "data_offsets": span}
        self._end += raw.size

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Puts the header before the tensors, its fields sorted (equal content, equal bytes), and the file in place."""
        header = {"__metadata__": dict(sorted(metadata.items())), **self._entries}
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        with writing(self.path):
            if len(text) <= self.room:
                self._fill(text)
            else:
                self._copy(text)

    def _fill(self, text: bytes) -> None:
        self._file.seek(0)
        self._file.write(self.room.to_bytes(8, "little") + text.ljust(self.room))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._body.replace(self.path)

    def _copy(self, text: bytes) -> None:
        self._file.seek(8 + self.room)
        text += b" " * (-len(text) % 8)
        with self._part.open("wb") as whole:
            whole.write(len(text).to_bytes(8, "little") + text)
            shutil.copyfileobj(self._file, whole, 1 << 24)
            whole.flush()
            os.fsync(whole.fileno())
        self._part.replace(self.path)

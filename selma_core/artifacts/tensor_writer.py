"""Writing a safetensors file tensor by tensor: memory stays at one tensor, whatever the file."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from selma_core.files import writing

if TYPE_CHECKING:
    import torch

_DTYPES = {"torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16"}


class TensorWriter:
    """A context manager: `add` tensors in any order, `finish` with the text fields; without `finish` no file appears.

    Attributes:
        path: the file.

    Tensors wait in a neighbour of the file, since the header comes first in the format and is known last.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._body = path.with_name(f".{path.name}.body")
        self._part = path.with_name(f".{path.name}.part")
        self._entries: dict[str, dict[str, Any]] = {}
        self._end = 0
        with writing(path):
            self._file = self._body.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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
        text += b" " * (-len(text) % 8)  # the format aligns the tensors to 8 bytes
        with writing(self.path):
            self._file.close()
            with self._part.open("wb") as whole, self._body.open("rb") as body:
                whole.write(len(text).to_bytes(8, "little") + text)
                shutil.copyfileobj(body, whole, 1 << 24)
                whole.flush()
                os.fsync(whole.fileno())
            self._part.replace(self.path)

"""A disk that is full from some file on."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest


def fill_disk(monkeypatch: pytest.MonkeyPatch, ending: str, number: int) -> None:
    """Makes the n-th file of a certain name end unwritable: "no space left on device"."""
    opened, count = Path.open, 0

    def open_until_full(self: Path, mode: str = "r", *rest: object, **more: object) -> object:
        nonlocal count
        if self.name.endswith(ending) and ("w" in mode or "a" in mode):
            count += 1
            if count >= number:
                raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return opened(self, mode, *rest, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", open_until_full)

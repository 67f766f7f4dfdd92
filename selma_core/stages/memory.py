"""How much memory a stage needed: the peak of this process, and of torch's CUDA allocator."""

from __future__ import annotations

import gc
import os
import re
import sys
from pathlib import Path
from typing import Any

_PROC = Path("/proc/self")
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


class PeakMemory:
    """Measures from its making to `read`.

    A long-lived worker has earlier peaks behind it, so the kernel's high-water mark is set back first; where that is
    not possible (not Linux) nothing is reported rather than the peak of an earlier stage. Child processes (a model
    server) are not counted.
    """

    def __init__(self) -> None:
        self._resident = _reset()
        cuda = _cuda()
        if cuda is not None:
            cuda.reset_peak_memory_stats()

    def read(self) -> dict[str, int]:
        """Bytes: `rss` resident in this process, `cuda` allocated by torch on the current device; what is known."""
        found: dict[str, int] = {}
        peak = _high_water() if self._resident else None
        if peak is not None:
            found["rss"] = peak
        cuda = _cuda()
        if cuda is not None and (used := int(cuda.max_memory_allocated())):
            found["cuda"] = used
        return found


def _reset() -> bool:
    try:
        (_PROC / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _high_water() -> int | None:
    try:
        found = _PEAK.search((_PROC / "status").read_text())
    except OSError:
        return None
    return 1024 * int(found[1]) if found else None


def _cuda() -> Any:
    """`torch.cuda` where this process has used it; never imports torch."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


class Freeing:
    """Collects what a stage left behind, once it is worth the time: a collection walks every object of the process.

    A long-lived worker must not hold the last stage's model while it loads the next one. Without torch there is none;
    below some growth there is none either, or a small one that may wait until growth adds up.
    """

    GROWTH = 64 * 2**20
    """Bytes resident since the last collection."""

    def __init__(self) -> None:
        self._after: int | None = None

    def __call__(self) -> None:
        """Between two stages."""
        if sys.modules.get("torch") is None:
            return
        cuda, now = _cuda(), _resident()
        if cuda is None and now is not None and self._after is not None and now - self._after < self.GROWTH:
            return
        gc.collect()
        if cuda is not None:
            cuda.empty_cache()
        self._after = _resident()


def _resident() -> int | None:
    try:
        return int((_PROC / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None

"""Which GPUs there are, asked without importing torch."""

from __future__ import annotations

import os
from pathlib import Path

_DRIVER = Path("/proc/driver/nvidia/gpus")


def visible_gpus() -> tuple[str, ...]:
    """Values for `CUDA_VISIBLE_DEVICES`, one per GPU that this process may use; empty without an NVIDIA driver."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return tuple(part.strip() for part in chosen.split(",") if part.strip() not in ("", "-1"))
    if not _DRIVER.is_dir():
        return ()
    return tuple(str(number) for number in range(len(list(_DRIVER.iterdir()))))

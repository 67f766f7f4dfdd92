"""Where a tracker writes on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def local_folder(wanted: str, store: Path | None, name: str = "") -> Path:
    """The folder that the options name, else `trackers/NAME` in SELMA's store, absolute; it is made."""
    root = store or Path(os.environ.get("SELMA_STORE") or "selma-store")
    folder = (Path(wanted).expanduser() if wanted else root / "trackers" / name).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder

"""The folder that downloads and remembered digests live in."""

from __future__ import annotations

import os
import re
from pathlib import Path

from platformdirs import user_cache_dir


def cache_root() -> Path:
    """`$SELMA_CACHE`, else the user's cache folder of this system; may not exist yet."""
    return Path(os.environ.get("SELMA_CACHE") or user_cache_dir("selma"))


def model_folder(name: str, pin: str) -> Path:
    """`models/<name>/<first 12 digits of the pin>`: a new revision never overwrites the old one."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "--", name).strip(".-") or "model"
    return cache_root() / "models" / safe / pin.rpartition("@")[2].rpartition(":")[2][:12]

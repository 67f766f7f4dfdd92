"""Checkpoints and exports that are either whole or absent."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path` by way of a rename, so that a kill leaves the last one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    torch.save(state, draft)
    os.replace(draft, path)


def load(path: Path) -> dict[str, Any] | None:
    """The state saved at `path`, or None if there is none."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def publish(target: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a draft folder, then put it in the place of `target`."""
    draft, old = target.with_name(target.name + ".draft"), target.with_name(target.name + ".old")
    for stale in (draft, old):
        shutil.rmtree(stale, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    write(draft)
    if target.exists():
        target.rename(old)
    draft.rename(target)
    shutil.rmtree(old, ignore_errors=True)

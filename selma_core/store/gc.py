"""Frees what no recent run refers to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import attrs

from selma_core.files import writing
from selma_core.store.locks import try_lock
from selma_core.store.store import Store

_SECOND = len("20250131-235959")


@attrs.frozen
class Garbage:
    """One folder that can go: an artifact, or the unfinished work of a stage. Attributes: size in bytes."""

    fingerprint: str
    folder: Path
    size: int
    unfinished: bool


def runs(store: Store) -> list[str]:
    """Ids of all runs, oldest first: by the second that an id begins with, in one second by when each wrote last."""
    found = {path.parent.name: path for path in store.root.glob("runs/*/run.json")}
    return sorted(found, key=lambda name: (name[:_SECOND], found[name].stat().st_mtime_ns, name))


def referenced(store: Store, keep: int) -> set[str]:
    """Fingerprints that the last `keep` runs refer to, and those of every run that is still going on."""
    known = runs(store)
    wanted = set(known[-keep:]) if keep else set()
    wanted |= {run for run in known if _running(store, run)}
    return {fingerprint for run in wanted for fingerprint in run_fingerprints(store, run)}


def run_fingerprints(store: Store, run_id: str) -> set[str]:
    """The fingerprints of all stages of a run; a broken `run.json` refers to nothing."""
    try:
        record = json.loads((store.run_folder(run_id) / "run.json").read_text(encoding="utf-8"))
        return {stage["fingerprint"] for stage in record["stages"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def garbage(store: Store, keep: int) -> list[Garbage]:
    """What `collect` would remove."""
    kept = referenced(store, keep)
    found = [(name, store.artifact(name), False) for name in store.fingerprints() if name not in kept]
    found += [(name, store.work(name), True) for name in store.unfinished() if name not in kept]
    return [Garbage(name, folder, _size(folder), unfinished) for name, folder, unfinished in found]


def collect(store: Store, keep: int) -> list[Garbage]:
    """Removes what no recent run refers to; what another process is working on stays.

    Returns:
        what was removed.
    """
    removed = []
    for item in garbage(store, keep):
        with try_lock(store.lock_file(item.fingerprint)) as free:
            if not free:
                continue
            if item.unfinished:
                with writing(item.folder):
                    shutil.rmtree(item.folder)
            else:
                store.remove(item.fingerprint)
        removed.append(item)
    return removed


def _running(store: Store, run_id: str) -> bool:
    lock = store.lock_file(run_id)
    if not lock.exists():
        return False
    with try_lock(lock) as free:
        return not free


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

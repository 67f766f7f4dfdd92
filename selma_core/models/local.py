"""Entries that are a file or folder of the user, named by its path instead of by an entry of the registry."""

from __future__ import annotations

from pathlib import Path

from selma_core.data import Entry
from selma_core.errors import UnknownNameError
from selma_core.models.digest import folder_digest

# Not sections of the registry: an option declared `entry("files")` names a file, one declared `entry("folders")` a
# folder; both are pinned by their content.
FILES = "files"
FOLDERS = "folders"
_BENCHMARK_FILES = (".csv", ".json", ".jsonl", ".txt")


def local_entry(section: str, name: str) -> Entry | None:
    """The entry of a file or folder given by its path, pinned by its content; None for a name of the registry.

    A benchmark is a path where it begins with `./`, `../`, `/` or `~`, or ends like a file of prompts.

    Raises:
        UnknownNameError: there is no such file or folder. ModelError: it cannot be read.
    """
    path = Path(name).expanduser()
    if section == FILES:
        return _entry(section, name, path, "file", path.is_file())
    if section == FOLDERS:
        return _entry(section, name, path, "folder", path.is_dir())
    if section == "benchmarks" and is_path(name):
        return _entry(section, name, path, "file", path.exists())
    return None


def is_path(name: str) -> bool:
    """Whether the name of a benchmark is the path of a file or folder."""
    return name.startswith(("/", "./", "../", "~")) or Path(name).suffix.lower() in _BENCHMARK_FILES


def _entry(section: str, name: str, path: Path, what: str, there: bool) -> Entry:
    if not there:
        raise UnknownNameError(f"the {what} {path.resolve()} does not exist")
    pin = f"sha256:{folder_digest(path)}"
    return Entry(section=section, name=name, provider="path", data={}, pin=pin, path=path.resolve())

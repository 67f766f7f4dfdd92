"""An adapter that is not there: which are, beside it, so that a wrong name or step is corrected at one glance."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

from selma_core.artifacts.lora_config import CONFIG_FILE, WEIGHTS
from selma_core.artifacts.lora_keys import COMPONENTS

_SUFFIX = ".safetensors"
_SHOWN = 5
_STEP = re.compile(r"^(.*?)(\d+)$")


def missing_line(path: Path) -> str:
    """One line on a LoRA file or adapter folder that does not exist: up to five adapters beside it, nearest first.

    What is missing may be the file, the folder that was to hold it, or one more above (an expert's, with its steps).
    """
    wanted, folder = path, path.parent
    for _ in range(2):
        if folder.exists() or folder == folder.parent:
            break
        wanted, folder = folder, folder.parent
    line = f"{path}: no such file"
    found = sorted(_adapters(folder), key=lambda name: _distance(wanted.name, name))
    if not found:
        return line
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{line}; {folder} holds {', '.join(found[:_SHOWN])}{more}"


def _adapters(folder: Path) -> Iterator[str]:
    """Names of the adapters in a folder, and of the folders in it that hold some."""
    for entry in sorted(_entries(folder)):
        if entry.is_file():
            if entry.suffix == _SUFFIX:
                yield entry.name
        elif _is_adapter(entry) or any(_is_adapter(below) for below in _entries(entry)):
            yield entry.name


def _entries(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError:  # no folder, or not ours to read: then there is nothing to offer
        return []


def _is_adapter(folder: Path) -> bool:
    places = (folder, *(folder / name for name in COMPONENTS))
    return (folder / WEIGHTS).is_file() or any((place / CONFIG_FILE).is_file() for place in places)


def _distance(wanted: str, name: str) -> tuple[bool, float, str, int]:
    """Steps of one name by their number, then the rest by how alike the names are."""
    one, other = (_STEP.match(text.removesuffix(_SUFFIX)) for text in (wanted, name))
    stem, step = (other[1], int(other[2])) if other else (name, 0)
    if one and one[1] == stem:
        return False, abs(int(one[2]) - step), stem, step
    # a folder that was given without the file it should hold is like none of the others
    alike = 0.0 if wanted == WEIGHTS else SequenceMatcher(a=wanted, b=name).ratio()
    return True, -alike, stem, step

"""Images inside the report's HTML: examples beside prompts, and the first strips for readers without JavaScript."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from selma_core.data import ImageItem
from selma_core.report.source import read_or_note
from selma_core.report.thumbnails import Rung, thumbnail

_EXAMPLE = Rung(192, 75, exact=True)


@attrs.frozen
class Cell:
    """One image. Attributes: uri = data URI; pixels = True when it should be enlarged without blurring."""

    name: str
    uri: str
    pixels: bool
    score: float | None = None


@attrs.frozen
class Strip:
    """The same prompt and seed across variants."""

    prompt: str
    group: str
    cells: tuple[Cell, ...]


def data_uri(path: Path) -> tuple[str, bool]:
    """A data URI, and whether it holds the original pixels: so up to 96 pixels; larger images become thumbnails."""
    found = thumbnail(path, _EXAMPLE)
    return found.uri, found.pixels


def samples(
    items: Sequence[ImageItem],
    count: int,
    notes: list[str],
    caption: Callable[[ImageItem], str] = lambda item: item.prompt.text,
) -> list[Cell]:
    """Evenly spaced images of a set, captioned by their prompts, or otherwise."""
    step = max(1, len(items) // count)
    cells = []
    for item in items[::step][:count]:
        found = read_or_note(notes, f"image {item.path.name}", data_uri, item.path)
        if found is not None:
            cells.append(Cell(caption(item), *found))
    return cells

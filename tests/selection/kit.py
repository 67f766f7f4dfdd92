"""Candidates with made-up scores, and what a selector makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from selma_core.data import ImageItem, Prompt
from selma_core.protocols import SelectJob
from selma_core.testing import FakeContext

Values = Mapping[str, Sequence[float | None]]
"""Metric -> the values of the images 0, 1, ... of a prompt."""


def picture(path: Path, colour: tuple[int, int, int] = (9, 90, 200), *, blank: bool = False) -> Path:
    image = Image.new("RGB", (8, 8), colour)
    if not blank:
        image.putpixel((3, 3), (255, 255, 255))
    image.save(path)
    return path


def job(folder: Path, prompts: Mapping[str, Values], *, blank: Iterable[str] = (), order: Any = None) -> SelectJob:
    """A job over prompts; `blank` = ids of black images; `order` = permutation of the items."""
    items: list[ImageItem] = []
    scores: dict[str, dict[str, float | None]] = {}
    for name, values in prompts.items():
        for k in range(len(next(iter(values.values())))):
            item = f"{name}-{k}"
            path = folder / f"{item}.png"
            if not path.exists():
                picture(path, (0, 0, 0), blank=True) if item in blank else picture(path)
            prompt = Prompt(id=name, text=f"text of {name}")
            items.append(ImageItem(item_id=item, prompt=prompt, path=path, sha256=item, k=k))
            for metric, column in values.items():
                scores.setdefault(metric, {})[item] = column[k]
    if order is not None:
        items = [items[i] for i in order]
    return SelectJob(context=FakeContext(workdir=folder), items=tuple(items), scores=scores)


def chosen(selector: Any, work: SelectJob) -> list[str]:
    return [item.item_id for item, _ in selector.select(work)]


def why(selector: Any, work: SelectJob) -> dict[str, Mapping[str, Any]]:
    return {item.item_id: reason for item, reason in selector.select(work)}

"""The store of thumbnails that the page's script shows from, filled up to a budget."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from markupsafe import Markup

from selma_core.report.judged import Slot, slots
from selma_core.report.pictures import Cell, Strip
from selma_core.report.source import ReportSource, baseline
from selma_core.report.thumbnails import Thumbnail, fitting, thumbnails

_PLAIN_PROMPTS = 12
_PLAIN_CELLS = 8
_PLAIN_SHARE = 0.06
_CELL_BYTES = 24


@attrs.define
class Gallery:
    """What the section about images shows.

    Attributes:
        variants: names, in the order of a row's cells. rows: one per prompt and sample: `t` text, `g` group, `k`,
            `s` seed, `q` questions, `c` per variant null or [index of its picture, score, failed questions or null].
        pictures: base64 text behind one letter: `p` PNG, `j` JPEG; a capital is to be enlarged without blurring.
        shown, total: images. side: longest, of a thumbnail. plain: strips for a reader without JavaScript.
    """

    variants: list[str] = attrs.field(factory=list)
    rows: list[dict[str, Any]] = attrs.field(factory=list)
    pictures: list[str] = attrs.field(factory=list)
    shown: int = 0
    total: int = 0
    side: int = 0
    plain: list[Strip] = attrs.field(factory=list)

    def data(self, colours: Mapping[str, int], base: str) -> Markup:
        """The JSON of everything but the pictures."""
        named = [{"n": name, "c": colours.get(name, 0)} for name in self.variants]
        return as_json({"variants": named, "base": base, "rows": self.rows})

    def store(self) -> Markup:
        """The JSON of the pictures."""
        return as_json(self.pictures)


def make_gallery(source: ReportSource, room: int, notes: list[str]) -> Gallery:
    """As many prompts as fit, each with all its variants.

    Args:
        room: bytes that the images and all that is said of them may take in the page.
    """
    found = slots(source, notes)
    gallery = Gallery(variants=[name for name in source.summaries if any(name in slot.images for slot in found)])
    gallery.total = sum(len(slot.images) for slot in found)
    paths = {judged.item.sha256: judged.item.path for slot in found for judged in slot.images.values()}
    left = int(room * (1 - _PLAIN_SHARE))
    rung = fitting(list(paths.values()), left - sum(_words(slot) for slot in found))
    gallery.side = rung.side
    known: dict[str, int | None] = {}
    plain = room - left
    for slot, fresh in zip(found, thumbnails(_new(found), rung), strict=True):
        row, texts = _row(slot, gallery, known, fresh, notes)
        left -= sum(map(len, texts)) + 4 * len(texts) + len(as_json(row))
        if left < 0:
            break
        gallery.pictures += texts
        gallery.rows.append(row)
        gallery.shown += sum(cell is not None for cell in row["c"])
        if len(gallery.plain) < _PLAIN_PROMPTS:
            strip = _strip(slot, row, gallery, baseline(source))
            plain -= sum(len(cell.uri) + 300 for cell in strip.cells) + 6 * len(slot.text) + 300
            if plain > 0:
                gallery.plain.append(strip)
    return gallery


def as_json(value: Any) -> Markup:
    """JSON that no prompt can end early: inside a script element only `<` could."""
    return Markup(_dump(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _words(slot: Slot) -> int:
    """About how many bytes a row takes without its pictures."""
    questions = {text for judged in slot.images.values() for text in judged.failed}
    return len(slot.text) + sum(map(len, questions)) + _CELL_BYTES * len(slot.images) + 60


def _new(found: Sequence[Slot]) -> Iterator[list[Path]]:
    """The files of each slot that no earlier one has."""
    seen: set[str] = set()
    for slot in found:
        fresh = {j.item.sha256: j.item.path for j in slot.images.values() if j.item.sha256 not in seen}
        seen.update(fresh)
        yield list(fresh.values())


def _row(
    slot: Slot, gallery: Gallery, known: dict[str, int | None], fresh: Sequence[Thumbnail | None], notes: list[str]
) -> tuple[dict[str, Any], list[str]]:
    """A row, and the pictures that it adds."""
    texts: list[str] = []
    queue = iter(fresh)
    questions: dict[str, int] = {}
    cells: list[list[Any] | None] = []
    made = {judged.item.sha256: judged.item for judged in slot.images.values() if judged.item.sha256 not in known}
    for name, item in made.items():
        found = next(queue, None)
        if found is None:
            notes.append(f"image {item.path.name} cannot be shown: cannot identify image file {item.path}")
            known[name] = None
            continue
        known[name] = len(gallery.pictures) + len(texts)
        texts.append((found.kind[0].upper() if found.pixels else found.kind[0]) + found.text)
    for variant in gallery.variants:
        judged = slot.images.get(variant)
        index = None if judged is None else known.get(judged.item.sha256)
        if judged is None or index is None:
            cells.append(None)
            continue
        failed = [questions.setdefault(text, len(questions)) for text in judged.failed] if judged.asked else None
        score = None if judged.score is None else round(judged.score, 3)
        cells.append([index, score, failed, judged.asked])
    row = {"t": slot.text, "g": ", ".join(slot.groups), "k": slot.k, "s": slot.seed, "q": list(questions), "c": cells}
    return row, texts


def _strip(slot: Slot, row: Mapping[str, Any], gallery: Gallery, base: str) -> Strip:
    """A few variants of a row, the baseline among them."""
    names = sorted(range(len(gallery.variants)), key=lambda i: gallery.variants[i] != base)[:_PLAIN_CELLS]
    cells = []
    for index in sorted(names):
        cell = row["c"][index]
        if cell is not None:
            code, text = gallery.pictures[cell[0]][0], gallery.pictures[cell[0]][1:]
            kind = {"p": "png", "j": "jpeg"}[code.lower()]
            uri = f"data:image/{kind};base64,{text}"
            cells.append(Cell(gallery.variants[index], uri, code.isupper(), cell[1]))
    return Strip(slot.text, ", ".join(slot.groups), tuple(cells))

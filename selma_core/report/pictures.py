"""Images inside the report: data URIs, small enough that one file holds them all."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
from PIL import Image

from selma_core.artifacts.scores import read_values
from selma_core.data import ImageItem, PromptScore
from selma_core.report.source import ReportSource, read_or_note

PROMPTS_SHOWN = 12
_RAW_UP_TO = 96
_THUMBNAIL = 256


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
    with Image.open(path) as image:
        if max(image.size) <= _RAW_UP_TO and image.format == "PNG":
            return _uri("png", path.read_bytes()), True
        small = image.convert("RGB")
        small.thumbnail((_THUMBNAIL, _THUMBNAIL))
        buffer = io.BytesIO()
        small.save(buffer, format="JPEG", quality=88)
    return _uri("jpeg", buffer.getvalue()), False


def strips(source: ReportSource, notes: list[str]) -> list[Strip]:
    """About a dozen judged prompts, the first of each group in turn: chosen by order, not by score."""
    drawn: dict[str, Mapping[str, ImageItem]] = {}
    for variant in source.summaries:
        node = source.sample_node(variant)
        if node is not None and node.artifact is not None:
            items = read_or_note(notes, f"images of {variant}", source.images, node.id) or ()
            drawn[variant] = {item.prompt.id: item for item in items if item.k == 0}
    scores = {variant: _values(source, variant, notes) for variant in drawn}
    found = []
    for prompt in _spread(_judged(source, drawn)):
        shown = {variant: items[prompt.prompt_id] for variant, items in drawn.items() if prompt.prompt_id in items}
        cells = [_cell(variant, item, scores[variant].get(item.item_id), notes) for variant, item in shown.items()]
        text = next(iter(shown.values())).prompt.text
        found.append(Strip(text, ", ".join(prompt.groups), tuple(cell for cell in cells if cell is not None)))
    return found


def samples(items: Sequence[ImageItem], count: int, notes: list[str]) -> list[Cell]:
    """Evenly spaced images of a set, captioned by their prompts."""
    step = max(1, len(items) // count)
    cells = [_cell(item.prompt.text, item, None, notes) for item in items[::step][:count]]
    return [cell for cell in cells if cell is not None]


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _cell(name: str, item: ImageItem, score: float | None, notes: list[str]) -> Cell | None:
    found = read_or_note(notes, f"image {item.path.name}", data_uri, item.path)
    return None if found is None else Cell(name, *found, score)


def _judged(source: ReportSource, drawn: Mapping[str, Mapping[str, ImageItem]]) -> list[PromptScore]:
    """The prompts of the first variant with scores that some variant has drawn."""
    metric = source.headline
    summary = next((found[metric] for found in source.summaries.values() if metric in found), None)
    known = {key for items in drawn.values() for key in items}
    return [prompt for prompt in (summary.prompts if summary else ()) if prompt.prompt_id in known]


def _spread(prompts: Sequence[PromptScore]) -> list[PromptScore]:
    """One prompt of each group, then a second one of each, and so on."""
    seen: dict[tuple[str, ...], int] = {}
    turns = []
    for prompt in prompts:
        seen[prompt.groups] = seen.get(prompt.groups, 0) + 1
        turns.append(seen[prompt.groups])
    order = sorted(range(len(prompts)), key=lambda i: turns[i])[:PROMPTS_SHOWN]
    return [prompts[i] for i in order]


def _values(source: ReportSource, variant: str, notes: list[str]) -> dict[str, float]:
    """item_id -> per cent under the rule that the report shows."""
    metric = source.headline
    node, summary = source.score_node(variant, metric), source.summaries[variant].get(metric)
    folder = node.artifact if node is not None else None
    if folder is None or summary is None:
        return {}
    rows = read_or_note(notes, f"scores of {variant}", read_values, folder) or ()
    found = {row.item_id: row.values.get(summary.rule) for row in rows}
    return {key: value * summary.scale for key, value in found.items() if value is not None}

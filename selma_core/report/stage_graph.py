"""The graph of stages as a figure: layers from top to bottom, one box per label, lines that pass beside the boxes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean

import attrs
from markupsafe import Markup, escape

from selma_core.report.figures import label, svg
from selma_core.report.stage_boxes import StageBox

_SIGNS = {"ran": "●", "reused": "○", "failed": "✕"}
_BOX, _HIGH, _GAP, _DOWN, _LANE = 152.0, 56.0, 14.0, 34.0, 10.0


@attrs.frozen
class _Item:
    """A box, or the lane beside the boxes in which the line of a box passes a layer."""

    label: str
    layer: int
    lane: bool

    @property
    def width(self) -> float:
        return _LANE if self.lane else _BOX


def graph_figure(boxes: Sequence[StageBox]) -> Markup:
    """The boxes in layers, inputs above readers. At its own size: a wide graph scrolls instead of shrinking."""
    by_label = {box.label: box for box in boxes}
    steps = [step for box in boxes for read in box.reads for step in _way(by_label[read], box)]
    layers = _rows(boxes, steps)
    width = max((_width(row) for row in layers), default=0.0) + 2 * _GAP
    middle = _place(layers, steps, width)
    parts = [_edge(middle[a], a, middle[b], b) for a, b in dict.fromkeys(steps)]
    parts += [_through(middle[item], item) for row in layers for item in row if item.lane]
    parts += [part for box in boxes for part in _drawn(box, middle[_Item(box.label, box.layer, False)])]
    height = 12 + len(layers) * (_HIGH + _DOWN) - _DOWN
    drawn = svg(width, max(height, 1.0), parts, "graph of the stages; the same as a list follows")
    return Markup(f'<div style="width:{width:.0f}px;margin:0 auto">{drawn}</div>')


def _way(source: StageBox, target: StageBox) -> list[tuple[_Item, _Item]]:
    """From a box to its reader, layer by layer; all readers of a box share its lane."""
    lanes = [_Item(source.label, layer, True) for layer in range(source.layer + 1, target.layer)]
    items = [_Item(source.label, source.layer, False), *lanes, _Item(target.label, target.layer, False)]
    return list(pairwise(items)) if target.layer > source.layer else []


def _rows(boxes: Sequence[StageBox], steps: Sequence[tuple[_Item, _Item]]) -> list[list[_Item]]:
    rows: dict[int, list[_Item]] = defaultdict(list)
    items = [_Item(box.label, box.layer, False) for box in boxes] + [item for step in steps for item in step]
    for item in dict.fromkeys(items):
        rows[item.layer].append(item)
    return [rows[layer] for layer in sorted(rows)]


def _place(layers: Sequence[Sequence[_Item]], steps: Sequence[tuple[_Item, _Item]], width: float) -> dict[_Item, float]:
    """The middle of each item: each layer centred, its items in the order of what they read."""
    above: Mapping[_Item, list[_Item]] = defaultdict(list)
    for a, b in steps:
        above[b].append(a)
    middle: dict[_Item, float] = {}
    for row in layers:
        wanted = {item: fmean([middle[read] for read in above[item]] or [width / 2]) for item in row}
        x = (width - _width(row)) / 2
        for item in sorted(row, key=wanted.__getitem__):
            middle[item] = x + item.width / 2
            x += item.width + _GAP
    return middle


def _width(row: Sequence[_Item]) -> float:
    return sum(item.width + _GAP for item in row) - _GAP


def _top(layer: int) -> float:
    return 6 + layer * (_HIGH + _DOWN)


def _edge(x1: float, above: _Item, x2: float, below: _Item) -> str:
    y1, y2 = _top(above.layer) + _HIGH, _top(below.layer)
    bend = (y1 + y2) / 2
    return f'<path class="edge" d="M{x1:.0f} {y1:.0f}C{x1:.0f} {bend:.0f} {x2:.0f} {bend:.0f} {x2:.0f} {y2:.0f}"/>'


def _through(x: float, lane: _Item) -> str:
    return f'<path class="edge" d="M{x:.0f} {_top(lane.layer):.0f}v{_HIGH:.0f}"/>'


def _drawn(box: StageBox, middle: float) -> list[str]:
    style = "failed" if "failed" in box.counts else "ran" if "ran" in box.counts else "reused"
    signs = "  ".join(f"{_SIGNS[name]} {count} {name}" for name, count in box.counts.items())
    x, y = middle - _BOX / 2, _top(box.layer)
    return [
        f"<g><title>{escape(f'{box.label} ({box.kind}): {box.words}')}</title>",
        f'<rect class="box {style}-box" x="{x:.0f}" y="{y:.0f}" width="{_BOX:.0f}" height="{_HIGH:.0f}" rx="8"/>',
        label(middle, y + 18, box.label, "name strong", "middle", 20),
        label(middle, y + 33, box.kind, "tick", "middle", 24),
        label(middle, y + 48, signs, "tick", "middle", 34) + "</g>",
    ]

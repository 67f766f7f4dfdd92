"""A picture of how two LoRAs differ: one cell per layer, rows are places in the model, columns are kinds of layer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from selma_core.files import make_folder, write_bytes

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont
    from PIL.Image import Image

_CELL, _HEIGHT, _LABELS, _HEAD, _GAP = 20, 12, 230, 126, 40
_ATTENTION = [f"attn{i}.{name}" for i in (1, 2) for name in ("to_q", "to_k", "to_v", "to_out.0")]
_COLUMNS = [
    *_ATTENTION,
    *("ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"),
    *("conv1", "conv2", "conv_shortcut", "time_emb_proj", "conv", "linear_1", "linear_2"),
    *("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2"),
]
_ORDER = ("conv_in", "time_embedding", "add_embedding", "down_blocks", "mid_block", "up_blocks", "conv_out")
Colour = tuple[int, int, int]
_NONE: Colour = (225, 225, 225)


@attrs.frozen
class Grid:
    """Rows and columns of one component, and the figures of the layers in it by (row, column)."""

    component: str
    rows: list[str]
    columns: list[str]
    cells: dict[tuple[str, str], Mapping[str, Any]]


def place(name: str) -> tuple[str, str, str]:
    """Component, row and column of a layer: `unet`, `down_blocks.1.attentions.0.transformer_blocks.0`, `attn1.to_q`."""
    component, path = name.split(".", 1)
    column = next((kind for kind in _COLUMNS if path.endswith(f".{kind}")), path.rpartition(".")[2])
    return component, path.removesuffix(column).rstrip(".") or "model", column


def grids(rows: Sequence[Mapping[str, Any]]) -> list[Grid]:
    """One grid per component, rows in the order in which data passes them."""
    found: dict[str, dict[tuple[str, str], Mapping[str, Any]]] = {}
    for row in rows:
        component, line, column = place(str(row["name"]))
        found.setdefault(component, {})[line, column] = row
    order = {kind: index for index, kind in enumerate(_COLUMNS)}
    return [
        Grid(
            component,
            sorted({line for line, _ in cells}, key=_natural),
            sorted({column for _, column in cells}, key=lambda kind: (order.get(kind, len(order)), kind)),
            cells,
        )
        for component, cells in sorted(found.items(), key=lambda item: (item[0] != "unet", item[0]))
    ]


def draw(result: Mapping[str, Any], out: Path) -> None:
    """Writes the PNG of a comparison: cosine on the left, log2 of the norm ratio on the right.

    Args:
        result: of `selma_core.adapters.compare.compare`. out: the file.
    """
    from selma_core.artifacts.images import png_bytes

    make_folder(out.parent)
    write_bytes(out, png_bytes(_image(grids(result["layers"]), result)))


def cosine_colour(value: float | None) -> Colour:
    """White at 0, blue at 1, red at -1."""
    return _NONE if value is None else _between(value)


def ratio_colour(value: float | None) -> Colour:
    """White at equal norms, blue at four times, red at a quarter."""
    if value is None:
        return _NONE
    return _between(max(-1.0, min(1.0, math.log2(value) / 2)) if value > 0 else -1.0)


def _between(value: float) -> Colour:
    rest = round(255 * (1 - abs(value)))
    return (rest, round(0.35 * 255 + 0.65 * rest), 255) if value >= 0 else (255, rest, rest)


def _image(found: Sequence[Grid], result: Mapping[str, Any]) -> Image:
    from PIL import Image, ImageDraw, ImageFont

    width = _LABELS + max((2 * len(grid.columns) for grid in found), default=0) * _CELL + 2 * _GAP + 60
    height = 60 + sum(_HEAD + len(grid.rows) * _HEIGHT + _GAP for grid in found)
    image = Image.new("RGB", (max(width, 640), height), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(10)
    names = f"A = {Path(str(result['a'])).name}   B = {Path(str(result['b'])).name}"
    pen.text((8, 6), names, "black", font)
    pen.text(
        (8, 22), f"in all: cosine {_short(result['cosine'])}, |B|/|A| {_short(result['norm_ratio'])}", "black", font
    )
    pen.text((8, 38), "blue: cosine 1, |B| = 4 |A|    white: 0, equal    red: -1, |B| = |A| / 4", "grey", font)
    top = 60
    for grid in found:
        _draw_grid(image, pen, font, grid, top)
        top += _HEAD + len(grid.rows) * _HEIGHT + _GAP
    return image


def _draw_grid(image: Image, pen: ImageDraw.ImageDraw, font: ImageFont.ImageFont | Any, grid: Grid, top: int) -> None:
    second = _LABELS + len(grid.columns) * _CELL + _GAP
    panels: list[tuple[int, str, str, Callable[[float | None], Colour]]] = [
        (_LABELS, "cosine", "cosine", cosine_colour),
        (second, "|B|/|A|", "norm_ratio", ratio_colour),
    ]
    pen.text((8, top + 8), grid.component, "black", font)
    for y, line in enumerate(grid.rows):
        pen.text((8, top + _HEAD + y * _HEIGHT), _abbreviated(line), "black", font)
    for left, title, figure, colour in panels:
        pen.text((left, top + 8), title, "black", font)
        for x, column in enumerate(grid.columns):
            _upright(image, font, column, (left + x * _CELL + 3, top + _HEAD - 4))
            for y, line in enumerate(grid.rows):
                row = grid.cells.get((line, column))
                corner = (left + x * _CELL, top + _HEAD + y * _HEIGHT)
                if row is not None:
                    box = (*corner, corner[0] + _CELL - 2, corner[1] + _HEIGHT - 2)
                    pen.rectangle(box, fill=colour(row[figure]), outline=(190, 190, 190))


def _upright(image: Image, font: Any, text: str, bottom: tuple[int, int]) -> None:
    """Text that reads upwards and ends above `bottom`."""
    from PIL import Image, ImageDraw

    strip = Image.new("RGB", (90, 14), "white")
    ImageDraw.Draw(strip).text((0, 1), text, "black", font)
    turned = strip.rotate(90, expand=True)
    image.paste(turned, (bottom[0], bottom[1] - turned.height))


def _abbreviated(line: str) -> str:
    for word, short in (("_blocks", ""), ("attentions", "attn"), (".transformer", ".t"), ("text_model.encoder.", "")):
        line = line.replace(word, short)
    return line


def _natural(line: str) -> tuple[int, tuple[tuple[int, str], ...]]:
    first = next((index for index, word in enumerate(_ORDER) if line.startswith(word)), -1)
    parts = re.split(r"(\d+)", line)
    return first, tuple((int(part) if part.isdigit() else -1, part) for part in parts)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"

"""Several images in one: a grid cut into its parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from selma_core.errors import UserError


def cut(path: Path, parts: Sequence[Path], grid: int) -> None:
    """Writes the `grid` x `grid` parts of an image as PNG, row by row.

    Raises:
        UserError: the image does not divide into so many equal parts.
    """
    parts[0].parent.mkdir(parents=True, exist_ok=True)
    with Image.open(path) as image:
        width, height = image.size
        if width % grid or height % grid:
            raise UserError(f"{path} is {width} x {height} pixels, which is no {grid} x {grid} grid of equal images")
        w, h = width // grid, height // grid
        for index, part in enumerate(parts):
            left, top = index % grid * w, index // grid * h
            image.convert("RGB").crop((left, top, left + w, top + h)).save(part)

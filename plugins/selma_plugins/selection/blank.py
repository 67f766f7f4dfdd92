"""Which images show nothing: black ones of a safety checker, failed decodings, one colour from edge to edge."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

SPREAD = 4
"""Levels (of 255) that the channels of a blank image may vary by: compression noise, not content."""


def is_blank(path: Path) -> bool:
    """Whether every channel of an image file lies within `SPREAD` levels."""
    with Image.open(path) as image:
        low_high = image.convert("RGB").getextrema()
    return all(int(high) - int(low) <= SPREAD for low, high in low_high)  # type: ignore[misc]

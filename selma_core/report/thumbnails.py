"""Images made small enough that one file holds them all."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import attrs
from PIL import Image

from selma_core.errors import SelmaError

_SMALL = 96
_SAMPLE = 16
_THREADS = 4


@attrs.frozen
class Rung:
    """How small. Attributes: side = longest, in pixels; quality = of JPEG; exact = small PNGs are kept as they are."""

    side: int
    quality: int
    exact: bool = False


LADDER = (Rung(320, 80, exact=True), Rung(256, 75, exact=True), Rung(192, 70), Rung(160, 62), Rung(128, 55))


@attrs.frozen
class Thumbnail:
    """One image. Attributes: kind = `png` or `jpeg`; pixels = whether to enlarge it without blurring."""

    kind: str
    text: str
    pixels: bool

    @property
    def uri(self) -> str:
        """A data URI."""
        return f"data:image/{self.kind};base64,{self.text}"


def thumbnail(path: Path, rung: Rung) -> Thumbnail:
    """An image at a rung; one of up to 96 pixels keeps its size.

    Raises:
        OSError: when it is no image.
    """
    with Image.open(path) as image:
        small = max(image.size) <= _SMALL
        if small and rung.exact and image.format == "PNG":
            return Thumbnail("png", base64.b64encode(path.read_bytes()).decode(), True)
        shown = image.convert("RGB")
    if not small:
        shown.thumbnail((rung.side, rung.side), reducing_gap=2.0)
    buffer = io.BytesIO()
    # At these sizes as small as WebP, and made ten times as fast.
    shown.save(buffer, format="JPEG", quality=min(95, rung.quality + 15 * small))
    return Thumbnail("jpeg", base64.b64encode(buffer.getvalue()).decode(), small)


def fitting(paths: Sequence[Path], budget: int) -> Rung:
    """The largest rung at which all images should fit, judged by an even sample; the smallest when none is.

    Args:
        budget: bytes of base64 text.
    """
    sample = paths[:: max(1, len(paths) // _SAMPLE)][:_SAMPLE]
    for rung in LADDER:
        made = [found for path in sample if (found := _made(path, rung)) is not None]
        mean = sum(len(found.text) for found in made) / max(1, len(made))
        if 1.1 * mean * len(paths) <= budget:
            return rung
    return LADDER[-1]


def thumbnails(groups: Iterable[Sequence[Path]], rung: Rung) -> Iterator[list[Thumbnail | None]]:
    """The thumbnails of each group in turn, made ahead in threads as far as they are asked for; None if unreadable."""
    with ThreadPoolExecutor(_THREADS) as pool:  # Pillow decodes and encodes outside the interpreter's lock
        for group in groups:
            yield list(pool.map(partial(_made, rung=rung), group))


def _made(path: Path, rung: Rung) -> Thumbnail | None:
    try:
        return thumbnail(path, rung)
    except (SelmaError, OSError, ValueError):
        return None

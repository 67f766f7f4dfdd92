"""What a request holds: its pictures, and whether a model that takes one picture and a text can answer it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from selma_core.data import ChatRequest, ImagePart


def pictures(request: ChatRequest) -> tuple[Path, ...]:
    """The image files of all turns, in order."""
    return tuple(part.path for turn in request.messages for part in turn.parts if isinstance(part, ImagePart))


def by_picture(requests: Sequence[ChatRequest]) -> list[int]:
    """Indices of the requests, those on the same pictures together, in order of first appearance."""
    groups: dict[tuple[Path, ...], list[int]] = {}
    for index, request in enumerate(requests):
        groups.setdefault(pictures(request), []).append(index)
    return [index for group in groups.values() for index in group]


def read_picture(path: Path) -> Image.Image:
    """An RGB image.

    Raises:
        ValueError: it cannot be read; one line.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except UnidentifiedImageError:
        raise ValueError(f"{path} is not an image") from None
    except OSError as error:
        raise ValueError(f"cannot read the image {path}: {error.strerror or error}") from None

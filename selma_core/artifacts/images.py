"""Image sets: an imagefolder that `datasets` loads: `*.png` and `metadata.jsonl`, one row per image.

Rows: {file_name, text, prompt_id, skill, k, seed, sha256, meta}; selected sets add {selection}: why it was kept. Sets
that were not drawn but imported have no seeds, and `import.json`: what was expected, found, and where it came from.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selma_core.artifacts.jsonl import Row, read_rows, write_rows
from selma_core.data import ImageItem, ImageRequest, Prompt
from selma_core.errors import ArtifactError
from selma_core.files import sha256_file, write_json

if TYPE_CHECKING:
    from PIL.Image import Image

METADATA = "metadata.jsonl"
IMPORT = "import.json"
_OTHERS = {METADATA, IMPORT, "manifest.json"}


def png_bytes(image: Image) -> bytes:
    """A PNG of the pixels alone: no time stamp, profile or text, so that equal pixels give equal bytes."""
    plain = image.convert("RGB").copy()
    plain.info.clear()
    buffer = io.BytesIO()
    plain.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def image_row(request: ImageRequest, sha256: str, *, imported: bool = False) -> dict[str, Any]:
    """The metadata row of an image just drawn; an imported one has no seed that could draw it again."""
    return _row(request.file_name, request.prompt, request.k, None if imported else request.seed, sha256)


def item_row(item: ImageItem, selection: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The metadata row of a stored image; `selection` says why a selector kept it."""
    row = _row(item.path.name, item.prompt, item.k, item.seed, item.sha256)
    return row if selection is None else row | {"selection": dict(selection)}


def write_images(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes `metadata.jsonl` beside image files that are already in the folder."""
    write_rows(folder / METADATA, rows)


def write_import(folder: Path, record: Mapping[str, Any]) -> None:
    """Writes `import.json`: {expected_images, found_images, images_per_prompt, prompts, missing, unmatched, unreadable,
    files}."""
    write_json(folder / IMPORT, dict(record))


def read_import(folder: Path) -> dict[str, Any] | None:
    """What `write_import` wrote; None for images that were drawn.

    Raises:
        ArtifactError: it is broken.
    """
    path = folder / IMPORT
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        expected, found = record["expected_images"], record["found_images"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: cannot be read: {type(error).__name__}: {error}") from None
    if not isinstance(expected, int) or not isinstance(found, int):
        raise ArtifactError(f"{path}: 'expected_images' and 'found_images' must be numbers")
    return dict(record)


def read_images(
    folder: Path, *, full: bool = False, warn: Callable[[str], None] = warnings.warn
) -> tuple[ImageItem, ...]:
    """Reads an image set in the order of its metadata.

    Args:
        folder: the imagefolder.
        full: also compare every file with its sha256.
        warn: gets one line when the folder holds files that the metadata does not list; they are ignored.

    Raises:
        ArtifactError: for a missing image, a broken row, or a wrong sha256; names file and row.
    """
    items: dict[str, ImageItem] = {}
    present = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    for row in read_rows(folder / METADATA):
        item = parse_item(row, folder)
        if item.item_id in items:
            raise row.error(f"image '{item.item_id}' occurs twice")
        if item.path.name not in present:
            raise row.error(f"the file '{item.path.name}' is missing")
        if full and sha256_file(item.path) != item.sha256:
            raise row.error(f"the file '{item.path.name}' is not the one that was stored (sha256 differs)")
        items[item.item_id] = item
    _report_strays(folder, present - {item.path.name for item in items.values()} - _OTHERS, warn)
    return tuple(items.values())


def parse_item(row: Row, folder: Path) -> ImageItem:
    """The image in a metadata row.

    Raises:
        ArtifactError: for a broken row, or a file name that leaves the folder.
    """
    name = row.take("file_name", str)
    if Path(name).name != name or name in {"", ".", ".."}:
        raise row.error(f"'{name}' is not the name of a file in this folder")
    prompt = Prompt(
        id=row.take("prompt_id", str),
        text=row.take("text", str),
        skill=row.take("skill", str),
        meta=row.take("meta", dict),
    )
    k = row.take("k", int)
    sha256, seed = row.take("sha256", str), row.optional("seed", int)
    selection = row.optional("selection", dict) or {}
    return ImageItem(
        item_id=f"{prompt.id}-{k}",
        prompt=prompt,
        path=folder / name,
        sha256=sha256,
        k=k,
        seed=seed,
        selection=selection,
    )


def clashing_names(requests: Iterable[ImageRequest]) -> tuple[str, str] | None:
    """Two prompt ids whose images would get one file name, or None."""
    owner: dict[str, str] = {}
    for request in requests:
        first = owner.setdefault(request.file_name.lower(), f"{request.prompt.id}-{request.k}")
        if first != f"{request.prompt.id}-{request.k}":
            return first, f"{request.prompt.id}-{request.k}"
    return None


def _row(name: str, prompt: Prompt, k: int, seed: int | None, sha256: str) -> dict[str, Any]:
    return {
        "file_name": name,
        "text": prompt.text,
        "prompt_id": prompt.id,
        "skill": prompt.skill,
        "k": k,
        "seed": seed,
        "sha256": sha256,
        "meta": dict(prompt.meta),
    }


def _report_strays(folder: Path, strays: set[str], warn: Callable[[str], None]) -> None:
    if strays:
        shown = ", ".join(sorted(strays)[:3]) + (", ..." if len(strays) > 3 else "")
        warn(f"{folder}: {len(strays)} file(s) that metadata.jsonl does not list are ignored: {shown}")

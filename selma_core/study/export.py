"""Writes a study: a folder for the raters, and the key to it beside the folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from selma_core.artifacts.images import png_bytes
from selma_core.artifacts.jsonl import write_rows
from selma_core.errors import UserError
from selma_core.files import make_folder, write_bytes, write_json
from selma_core.seeds import derive_seed
from selma_core.study.page import page_html
from selma_core.study.pairs import Pair, Picture, make_pairs

QUESTIONS = {
    "alignment": "Which image matches the text better?",
    "quality": "Which image looks better, whatever the text says?",
}
CHECKED = "alignment"
"""Attention checks have a right answer to this question alone."""
SCHEMA = 1


@attrs.frozen(kw_only=True)
class Study:
    """An exported study. Attributes: folder = what raters get; key = the file they must not get."""

    id: str
    folder: Path
    key: Path
    pairs: int
    checks: int

    @property
    def page(self) -> Path:
        """What raters open."""
        return self.folder / "index.html"


def export_study(
    a: Path,
    b: Path,
    out: Path,
    *,
    names: Sequence[str] = (),
    seed: int = 0,
    limit: int | None = None,
    checks: int = 0,
    key: Path | None = None,
) -> Study:
    """Writes `out` (index.html, pairs.jsonl, images/) and the key, by default `OUT.key.json` beside it.

    Args:
        a, b: folders of images of the same prompts. names: what the two are called in the key; default the folders.
        seed: of sides, order and choice. limit: at most so many pairs. checks: attention checks besides.

    Raises:
        UserError: nothing to pair, `out` is not empty, or the key would lie inside it.
    """
    out = out.absolute()
    place = (key or out.with_name(f"{out.name}.key.json")).absolute()
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty; choose a new folder")
    if place.is_relative_to(out):
        raise UserError(f"the key {place} would be among the files for the raters; choose another place")
    pairs = make_pairs(a, b, seed=seed, limit=limit, checks=checks)
    study = f"{derive_seed('study id', seed, str(a.resolve()), str(b.resolve())):016x}"
    make_folder(out / "images")
    shown = [_shown(pair, out, study) for pair in pairs]
    write_rows(out / "pairs.jsonl", shown)
    write_bytes(out / "index.html", page_html(study, shown, QUESTIONS).encode())
    first, second = names or (str(a), str(b))
    more = {"a": first, "b": second, "seed": seed, "questions": list(QUESTIONS), "checked": CHECKED}
    write_json(place, {"schema": SCHEMA, "study": study, **more, "pairs": {pair.id: _secret(pair) for pair in pairs}})
    count = sum(pair.check is not None for pair in pairs)
    return Study(id=study, folder=out, key=place, pairs=len(pairs) - count, checks=count)


def read_key(path: Path) -> dict[str, Any]:
    """The key of a study.

    Raises:
        UserError: it is not there, or is none.
    """
    try:
        key = json.loads(path.read_text(encoding="utf-8"))
        if key["schema"] != SCHEMA or not isinstance(key["pairs"], dict):
            raise ValueError
    except FileNotFoundError:
        raise UserError(f"no key {path}; say where it is with --key") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path}: is no key of a study") from None
    return dict(key)


def _shown(pair: Pair, out: Path, study: str) -> dict[str, str]:
    """What raters may know. File names are drawn too: one of the image's own could tell whose it is."""
    row = {"id": pair.id, "prompt": pair.prompt}
    return row | {side: _copy(picture, f"{study} {pair.id} {side}", out) for side, picture in _sides(pair)}


def _sides(pair: Pair) -> tuple[tuple[str, Picture], ...]:
    return ("left", pair.left), ("right", pair.right)


def _copy(picture: Picture, secret: str, out: Path) -> str:
    """The pixels alone, as PNG: neither format nor metadata of a file may tell whose it is."""
    from PIL import Image, UnidentifiedImageError

    name = f"images/{derive_seed('file name', secret):016x}.png"
    try:
        with Image.open(picture.path) as image:
            write_bytes(out / name, png_bytes(image))
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"{picture.path}: is no image that can be read: {error}") from None
    return name


def _secret(pair: Pair) -> dict[str, Any]:
    return {"prompt_id": pair.prompt_id, "k": pair.k, "a": pair.a, "check": pair.check}

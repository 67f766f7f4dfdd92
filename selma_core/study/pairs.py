"""Which images of two sets belong together, in which order and on which side they are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Literal

import attrs

from selma_core.artifacts.images import METADATA, read_images
from selma_core.artifacts.jsonl import read_rows
from selma_core.errors import UserError
from selma_core.seeds import derive_seed

Side = Literal["left", "right"]
_TEXT_KEYS = ("text", "prompt", "caption")


@attrs.frozen(kw_only=True)
class Picture:
    """An image with its prompt. Attributes: k = which of the prompt's images."""

    prompt_id: str
    prompt: str
    k: int
    path: Path


@attrs.frozen(kw_only=True)
class Pair:
    """Two images for one prompt.

    Attributes:
        id: what raters' answers go by; says nothing of the images. left, right: the pictures.
        a: the side of the first set. check: the side that must be chosen in an attention check, else None.
    """

    id: str
    prompt_id: str
    prompt: str
    k: int
    left: Picture
    right: Picture
    a: Side
    check: Side | None = None


def read_pictures(folder: Path) -> dict[tuple[str, int], Picture]:
    """(prompt id, k) -> picture, of an image artifact or an imagefolder: `metadata.jsonl` with `file_name` and a text.

    Raises:
        ArtifactError: no metadata, a broken row, a missing file.
    """
    rows = list(read_rows(folder / METADATA))
    if rows and "prompt_id" in rows[0].values:
        items = read_images(folder, warn=lambda line: None)
        return {
            (item.prompt.id, item.k): Picture(
                prompt_id=item.prompt.id, prompt=item.prompt.text, k=item.k, path=item.path
            )
            for item in items
        }
    found: dict[tuple[str, int], Picture] = {}
    seen: Counter[str] = Counter()
    for row in rows:
        name = row.take("file_name", str)
        text = next((str(row.values[key]) for key in _TEXT_KEYS if row.values.get(key)), None)
        if text is None:
            raise row.error(f"has no text of the prompt ({', '.join(_TEXT_KEYS)})")
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise row.error(f"the file '{name}' is missing")
        found[text, seen[text]] = Picture(prompt_id=text, prompt=text, k=seen[text], path=path)
        seen[text] += 1
    return found


def make_pairs(a: Path, b: Path, *, seed: int, limit: int | None, checks: int) -> tuple[Pair, ...]:
    """The pairs to show, in the order to show them.

    Args:
        a, b: folders of images. limit: at most so many pairs, spread over prompts; None = all.
        checks: attention checks besides: an image of the prompt beside one of a prompt with quite other words.

    Raises:
        UserError: nothing in common, or one prompt with two texts.
    """
    first, second = read_pictures(a), read_pictures(b)
    shared = [key for key in first if key in second]
    if not shared:
        raise UserError(f"{a} and {b} have no prompt in common")
    for key in shared:
        if first[key].prompt.strip() != second[key].prompt.strip():
            raise UserError(
                f"prompt '{key[0]}' reads '{first[key].prompt[:60]}' in {a}, '{second[key].prompt[:60]}' in {b}"
            )
    rng = Random(derive_seed("study", seed))
    chosen = _spread(shared, limit, rng)
    drafts = [_pair(first[key], second[key], rng) for key in chosen]
    drafts += _checks([first[key] for key in chosen], checks, rng)
    rng.shuffle(drafts)
    return tuple(attrs.evolve(pair, id=f"pair-{number:04d}") for number, pair in enumerate(drafts, 1))


def _spread(shared: Sequence[tuple[str, int]], limit: int | None, rng: Random) -> list[tuple[str, int]]:
    """All, or some: a first image of every prompt before a second one of any."""
    order = {key: rng.random() for key in shared}
    taken: Counter[str] = Counter()
    ranked: dict[tuple[str, int], int] = {}
    for key in sorted(shared, key=order.__getitem__):
        ranked[key] = taken[key[0]]
        taken[key[0]] += 1
    return sorted(shared, key=lambda key: (ranked[key], order[key]))[:limit]


def _pair(a: Picture, b: Picture, rng: Random) -> Pair:
    a_left = rng.random() < 0.5
    return Pair(
        id="",
        prompt_id=a.prompt_id,
        prompt=a.prompt,
        k=a.k,
        left=a if a_left else b,
        right=b if a_left else a,
        a="left" if a_left else "right",
    )


def _checks(pictures: Sequence[Picture], count: int, rng: Random) -> list[Pair]:
    if count and len({picture.prompt_id for picture in pictures}) < 2:
        raise UserError("attention checks need images of at least two prompts")
    found = []
    for number in range(count):
        right_one = pictures[rng.randrange(len(pictures))] if number >= len(pictures) else pictures[number]
        others = [picture for picture in pictures if picture.prompt_id != right_one.prompt_id]
        candidates = rng.sample(others, min(len(others), 20))
        wrong = min(candidates, key=lambda other: _overlap(right_one.prompt, other.prompt))
        pair = _pair(right_one, wrong, rng)
        found.append(attrs.evolve(pair, check=pair.a))
    return found


def _overlap(one: str, other: str) -> float:
    a, b = set(one.lower().split()), set(other.lower().split())
    return len(a & b) / max(len(a | b), 1)

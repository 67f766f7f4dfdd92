"""Pairs of pictures of one prompt, of which one is better. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from selma_core.artifacts.images import read_images
from selma_core.artifacts.scores import read_values
from selma_core.data import ImageItem
from selma_core.errors import ArtifactError, UserError, did_you_mean

PAIRS = "pairs.jsonl"
Scores = Mapping[str, Mapping[str, float | None]]
"""item id -> rule -> value."""


@attrs.frozen
class Pair:
    """Attributes: prompt. better, worse = image files. label = how sure that is: 1; a tie is 0.5."""

    prompt: str
    better: Path
    worse: Path
    label: float = 1.0


def read_pairs(file: Path, *, inside: bool = False) -> list[Pair]:
    """The rows `{prompt, better, worse, label?}` of a JSON lines file; paths are relative to it.

    Args: inside = images must lie in the file's folder, since nothing else of them is pinned.

    Raises:
        ArtifactError: the file or a row cannot be read, or an image is not there; names file and row.
    """
    pairs = []
    try:
        rows = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{file}: cannot be read: {error}") from None
    for number, line in enumerate(rows, start=1):
        try:
            row = json.loads(line)
            better, worse = (file.parent / str(row[key]) for key in ("better", "worse"))
            pair = Pair(str(row["prompt"]), better, worse, float(row.get("label", 1.0)))
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{file}, row {number}: needs prompt, better and worse ({error!r})") from None
        if not 0.5 <= pair.label <= 1:
            raise ArtifactError(f"{file}, row {number}: label is {pair.label}; the better image has 0.5 (a tie) to 1")
        for image in (better, worse):
            if not image.is_file():
                raise ArtifactError(f"{file}, row {number}: there is no image {image}")
            if inside and not image.resolve().is_relative_to(file.parent.resolve()):
                raise ArtifactError(f"{file}, row {number}: the image {image} lies outside the folder of the pairs")
        pairs.append(pair)
    return _some(pairs, str(file))


def scored_pairs(images: Path, scores: Path, rule: str = "", margin: float = 0.0) -> list[Pair]:
    """`pairs_of` an image set and the score table of it, as folders of the store.

    Raises:
        ArtifactError: a broken artifact. UserError: no such rule, or not one pair.
    """
    values = {value.item_id: value.values for value in read_values(scores)}
    items = read_images(images, warn=lambda line: None)
    return pairs_of(items, values, rule, margin, f"{images} and {scores}")


def pairs_of(items: Sequence[ImageItem], scores: Scores, rule: str, margin: float, source: str) -> list[Pair]:
    """Every two images of a prompt that differ in score, the higher one as the better.

    Args: rule = of the metric; empty = the table's first. margin = least difference. source = for messages.

    Raises:
        UserError: no such rule, or not one pair.
    """
    found: dict[str, list[tuple[float, Path]]] = {}
    texts: dict[str, str] = {}
    for item in items:
        known = scores.get(item.item_id, {})
        name = rule or next(iter(known), "")
        if known and name not in known:
            raise UserError(f"{source}: has no rule '{rule}': {did_you_mean(rule, known)}")
        value = known.get(name)
        if value is not None:
            found.setdefault(item.prompt.id, []).append((value, item.path))
            texts[item.prompt.id] = item.prompt.text
    pairs = []
    for prompt, scored in found.items():
        ranked = sorted(scored, key=lambda one: -one[0])
        for place, (high, better) in enumerate(ranked):
            pairs += [Pair(texts[prompt], better, worse) for low, worse in ranked[place + 1 :] if high - low > margin]
    return _some(pairs, source)


def hold_out(pairs: Sequence[Pair], share: float) -> tuple[list[Pair], list[Pair]]:
    """(training, held-out) pairs: the share of the prompts with the smallest hashes is held out."""
    texts = sorted({pair.prompt for pair in pairs}, key=lambda text: hashlib.sha256(text.encode()).hexdigest())
    count = 0 if share == 0 else min(max(1, round(share * len(texts))), len(texts) - 1)
    held = set(texts[:count])
    return [p for p in pairs if p.prompt not in held], [p for p in pairs if p.prompt in held]


def weights_of(pairs: Sequence[Pair]) -> list[float]:
    """One over the number of pairs of the same prompt, so that every prompt counts alike (PickScore)."""
    counts = Counter(pair.prompt for pair in pairs)
    return [1 / counts[pair.prompt] for pair in pairs]


def _some(pairs: list[Pair], source: str) -> list[Pair]:
    if not pairs:
        raise UserError(f"{source}: no pair of images, one better than the other")
    return pairs

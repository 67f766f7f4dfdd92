"""The images of a folder by its `metadata.jsonl`, the index of an imagefolder of `datasets`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import attrs

from selma_core.artifacts.jsonl import Row, read_rows
from selma_core.data import Prompt
from selma_plugins.images.names import Match, PromptIndex, add_sample

METADATA = "metadata.jsonl"
IDS = ("prompt_id", "item_id", "id")
TEXTS = ("text", "prompt", "caption")
Warn = Callable[[str], None]


@attrs.define
class _Listing:
    index: PromptIndex
    texts: Mapping[str, str]
    there: set[str]
    samples: dict[str, dict[int, str]] = attrs.field(factory=dict)
    unmatched: list[str] = attrs.field(factory=list)
    gone: list[str] = attrs.field(factory=list)
    reworded: list[str] = attrs.field(factory=list)


def match_listed(folder: Path, files: Sequence[str], prompts: Sequence[Prompt], warn: Warn) -> Match:
    """Files by prompt: of its id (`prompt_id`, `item_id`, `id`), else of its text (`text`, `prompt`, `caption`).

    Args:
        files: the image files that are in the folder, relative. warn: gets a line for rows without a file, and one for
            rows whose text is not that of the prompt with their id.

    Raises:
        ArtifactError: a broken row, or one that names no prompt at all. UserError: one sample is listed twice.
    """
    listing = _Listing(PromptIndex(prompts), {prompt.id: prompt.text for prompt in prompts}, set(files))
    listed = {_add(row, listing) for row in read_rows(folder / METADATA)}
    for what, names in (
        ("of metadata.jsonl not in the folder", listing.gone),
        ("listed with another text than the prompt of their id", listing.reworded),
    ):
        if names:
            warn(f"{len(names)} file(s) {what}, first: {', '.join(names[:3])}")
    strays = [file for file in files if file not in listed]
    return Match(listing.samples, tuple(sorted([*listing.unmatched, *strays])))


def _add(row: Row, listing: _Listing) -> str:
    name = PurePosixPath(row.take("file_name", str)).as_posix()
    key, text = _first(row.values, IDS), _first(row.values, TEXTS)
    if not key and not text:
        raise row.error(f"names no prompt; it needs one of {', '.join((*IDS, *TEXTS))}")
    if name not in listing.there:
        listing.gone.append(name)
        return name
    owner = listing.index.of_id(key) if key else listing.index.of_text(text, PurePosixPath(name).parts)
    if owner is None:
        listing.unmatched.append(name)
        return name
    if text and text.strip() != listing.texts[owner].strip():
        listing.reworded.append(name)
    given = row.values.get("k")
    k = given if isinstance(given, int) else max(listing.samples.get(owner, {-1: ""})) + 1
    add_sample(listing.samples, owner, k, name)
    return name


def _first(values: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((str(values[name]) for name in names if isinstance(values.get(name), str | int)), "")

"""Prompts without more: a line each, a CSV with a column of texts, JSONL with a field of texts."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from selma_core.data import Entry
from selma_core.errors import ArtifactError, did_you_mean
from selma_plugins.benchmarks.groups import group_of
from selma_plugins.benchmarks.item import BenchmarkItem, json_rows, read_text

TEXTS = ("text", "prompt", "caption")
IDS = ("item_id", "prompt_id", "id")
GROUPS = ("group", "category", "tag")


def lines(path: Path, entry: Entry) -> Iterator[BenchmarkItem]:
    """A prompt a line: one file, or a folder with a file per group (T2I-CompBench's `color_val.txt`).

    Ids are the file's stem (without `_val`) and the number of the line, from 000; blank lines do not count. The entry's
    `parts` keeps some files of a folder only.

    Raises:
        ArtifactError: a part that the folder does not have.
    """
    for file in _files(path, entry):
        stem = file.stem.removesuffix("_val")
        texts = (line.strip() for line in read_text(file).splitlines())
        for index, text in enumerate(text for text in texts if text):
            key = f"{stem}_{index:03d}"
            yield BenchmarkItem(key, text, stem if path.is_dir() else group_of(key, entry))


def _files(path: Path, entry: Entry) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = {file.stem.removesuffix("_val"): file for file in sorted(path.glob("*.txt"))}
    parts = entry.data.get("parts") or list(found)
    for name in parts:
        if name not in found:
            raise ArtifactError(f"benchmark '{entry.name}': parts: {path} has no '{name}'; {did_you_mean(name, found)}")
    return [file for name, file in found.items() if name in parts]


def prompts_csv(path: Path, entry: Entry) -> Iterator[BenchmarkItem]:
    """A row per prompt: its text under `text`, `prompt` or `caption`, its id under `item_id`, `prompt_id` or `id`."""
    reader = csv.DictReader(read_text(path).splitlines(keepends=True))
    rows = ((f"{path}, row {number}", row) for number, row in enumerate(reader, 2))
    return _items(rows, path, entry)


def prompts_jsonl(path: Path, entry: Entry) -> Iterator[BenchmarkItem]:
    """An object per prompt, with the names of `prompts_csv`."""
    return _items(json_rows(path), path, entry)


def _items(rows: Iterable[tuple[str, Mapping[str, Any]]], path: Path, entry: Entry) -> Iterator[BenchmarkItem]:
    for index, (where, row) in enumerate(rows):
        text = _first(row, TEXTS)
        if not text:
            raise ArtifactError(f"{where}: has no prompt under {', '.join(TEXTS)}")
        key = _first(row, IDS) or f"{path.stem}_{index:05d}"
        yield BenchmarkItem(key, text, _first(row, GROUPS) or group_of(key, entry))


def _first(row: Mapping[str, Any], names: Iterable[str]) -> str:
    values = (row.get(name) for name in names)
    return next((str(value).strip() for value in values if isinstance(value, str | int) and str(value).strip()), "")

"""From a registry entry (or a path) to its prompts, in whatever format they are."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selma_core.data import Entry
from selma_core.errors import ArtifactError, ConfigError, did_you_mean
from selma_plugins.benchmarks.item import BenchmarkItem, Reader, collect, json_rows, parse_json, read_text
from selma_plugins.benchmarks.plain import lines, prompts_csv, prompts_jsonl
from selma_plugins.benchmarks.released import dsg_csv, geneval2_jsonl, geneval_jsonl, hps_json, tifa_json

FORMATS: dict[str, Reader] = {
    "dsg_csv": dsg_csv,
    "tifa_json": tifa_json,
    "geneval_jsonl": geneval_jsonl,
    "geneval2_jsonl": geneval2_jsonl,
    "hps_json": hps_json,
    "lines": lines,
    "prompts_csv": prompts_csv,
    "prompts_jsonl": prompts_jsonl,
}


def read_items(entry: Entry) -> dict[str, BenchmarkItem]:
    """id -> prompt with its questions or clauses, in file order.

    Raises:
        ConfigError: a `format` that does not exist. ArtifactError: a file that cannot be read or is of no format.
    """
    path = _path(entry)
    return collect(FORMATS[format_of(entry)](path, entry), path)


def contents(entry: Entry) -> dict[str, Any]:
    """What a benchmark holds: `{format, prompts, questions, groups: {name: prompts}}`."""
    items = read_items(entry).values()
    groups = Counter(item.group for item in items if item.group)
    return {
        "format": format_of(entry),
        "prompts": len(items),
        "questions": sum(len(item.questions) for item in items),
        "groups": dict(groups),
    }


def format_of(entry: Entry) -> str:
    """The entry's `format`, else what its file looks like.

    Raises:
        ConfigError: a `format` that does not exist. ArtifactError: nothing that is known.
    """
    named = entry.data.get("format")
    if named is None:
        return _guess(_path(entry))
    if named not in FORMATS:
        raise ConfigError(
            f"benchmark '{entry.name}': format: there is no '{named}'; {did_you_mean(str(named), FORMATS)}"
        )
    return str(named)


def _path(entry: Entry) -> Path:
    if entry.path is None:
        raise ArtifactError(f"benchmark '{entry.name}' has no file on this machine")
    # a download of several files is a folder, of which the entry names one
    name = str(entry.data.get("file", ""))
    inner = entry.path / name
    return inner if name and entry.path.is_dir() and inner.is_file() else entry.path


def _guess(path: Path) -> str:
    if path.is_dir():
        found = [name for pattern, name in (("*.json", "hps_json"), ("*.txt", "lines")) if any(path.glob(pattern))]
        if len(found) != 1:
            raise ArtifactError(f"{path}: a benchmark's folder holds either lists of prompts in *.json, or *.txt files")
        return found[0]
    suffix = path.suffix.lower()
    if suffix not in _GUESSES:
        raise ArtifactError(f"{path}: cannot tell the format; the name must end in {', '.join(_GUESSES)}")
    return _GUESSES[suffix](path)


def _guess_csv(path: Path) -> str:
    names = next(csv.reader(read_text(path).splitlines()[:1]), [])
    return "dsg_csv" if "proposition_id" in names else "prompts_csv"


def _guess_json(path: Path) -> str:
    content = parse_json(read_text(path), f"{path}")
    objects = isinstance(content, list) and content and isinstance(content[0], dict)
    return "hps_json" if not objects else "tifa_json" if "caption" in content[0] else "prompts_jsonl"


def _guess_jsonl(path: Path) -> str:
    _, first = next(iter(json_rows(path)), ("", dict[str, Any]()))
    if "vqa_list" in first:
        return "geneval2_jsonl"
    return "geneval_jsonl" if {"tag", "include"} <= first.keys() else "prompts_jsonl"


def _guess_txt(path: Path) -> str:
    return "lines"


_GUESSES: dict[str, Callable[[Path], str]] = {
    ".csv": _guess_csv,
    ".json": _guess_json,
    ".jsonl": _guess_jsonl,
    ".txt": _guess_txt,
}

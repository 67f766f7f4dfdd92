"""What every format gives: prompts, each with what its benchmark knows of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from selma_core.data import Entry
from selma_core.errors import ArtifactError

Reader = Callable[[Path, Entry], Iterable["BenchmarkItem"]]


@attrs.frozen
class BenchmarkItem:
    """One prompt of a benchmark.

    Attributes:
        id: the benchmark's own, or made from file and line. text: what an image is drawn from.
        group: the part of the benchmark it belongs to; "" for none.
        data: what the file says besides, JSON: `questions` [{...}] in DSG's, TIFA's and GenEval 2's formats, the
            clauses `include` and `exclude` in GenEval's.
    """

    id: str
    text: str
    group: str = ""
    data: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def questions(self) -> tuple[Mapping[str, Any], ...]:
        """The questions about an image of it, in file order."""
        return tuple(self.data.get("questions", ()))


def collect(items: Iterable[BenchmarkItem], path: Path) -> dict[str, BenchmarkItem]:
    """id -> item, in file order.

    Raises:
        ArtifactError: an id occurs twice, or there is none at all.
    """
    found: dict[str, BenchmarkItem] = {}
    for item in items:
        if item.id in found:
            raise ArtifactError(f"{path}: the id '{item.id}' occurs twice")
        found[item.id] = item
    if not found:
        raise ArtifactError(f"{path}: holds no prompts")
    return found


def read_text(path: Path) -> str:
    """A text file, with or without a byte order mark.

    Raises:
        ArtifactError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error


def parse_json(text: str, where: str) -> Any:
    """JSON.

    Raises:
        ArtifactError: it is none; `where` is named.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise ArtifactError(f"{where}: is no JSON: {error}") from None


def json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place for messages, object) of a JSONL file or of a JSON list of objects.

    Raises:
        ArtifactError: a row that is no object.
    """
    content = read_text(path)
    if path.suffix.lower() == ".jsonl":
        lines = enumerate(content.split("\n"), 1)
        rows = ((f"{path}, row {number}", line) for number, line in lines if line.strip())
        parsed = ((where, parse_json(line, where)) for where, line in rows)
    else:
        whole = parse_json(content, f"{path}")
        if not isinstance(whole, list):
            raise ArtifactError(f"{path}: must hold a list, not {type(whole).__name__}")
        parsed = ((f"{path}, entry {number}", row) for number, row in enumerate(whole, 1))
    for where, row in parsed:
        if not isinstance(row, dict):
            raise ArtifactError(f"{where}: is {type(row).__name__}, must be an object")
        yield where, row


def take(row: Mapping[str, Any], key: str, where: str, wanted: type = str) -> Any:
    """A field of a row.

    Raises:
        ArtifactError: it is missing or of another type.
    """
    if not isinstance(row.get(key), wanted):
        raise ArtifactError(f"{where}: needs '{key}' ({wanted.__name__})")
    return row[key]

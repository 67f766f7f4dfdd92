"""Scores: what was observed, one row per observation; every number is computed from it afterwards.

`atoms.jsonl` {item_id, prompt_id, k, key, value, raw, status, data}; an image without any observation has one row with
`key` null. `specs.json` prompt id -> spec. `info.json` the metric. `values.jsonl` {item_id, prompt_id, k, values}: the
value of each image under each rule, derived from the atoms for readers without the evaluator.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from selma_core.artifacts.jsonl import Row, read_rows, write_rows
from selma_core.data import Atom, ItemAtoms, MetricInfo
from selma_core.errors import ArtifactError
from selma_core.files import write_json

ATOMS = "atoms.jsonl"
SPECS = "specs.json"
INFO = "info.json"
VALUES = "values.jsonl"
_STATUSES = ("ok", "error", "skipped")


@attrs.frozen
class ScoreTable:
    """Stored observations of one evaluator over one image set.

    Attributes:
        info: the metric, its rules, who judged.
        specs: prompt id -> spec (the questions, the groups).
        rows: one entry per image, in image order.
    """

    info: MetricInfo
    specs: Mapping[str, Any]
    rows: tuple[ItemAtoms, ...]


@attrs.frozen
class ImageValue:
    """The value of one image under each rule of its metric; None where nothing was observed."""

    item_id: str
    prompt_id: str
    k: int
    values: Mapping[str, float | None]


def write_scores(folder: Path, table: ScoreTable, values: Iterable[ImageValue]) -> None:
    """Writes the four files into a folder."""
    write_rows(folder / ATOMS, (row for item in table.rows for row in atom_rows(item)))
    write_json(folder / SPECS, dict(table.specs))
    write_json(folder / INFO, attrs.asdict(table.info))
    write_rows(folder / VALUES, (attrs.asdict(value) for value in values))


def read_scores(folder: Path) -> ScoreTable:
    """Reads the observations.

    Raises:
        ArtifactError: for a missing file or a broken row; names file and row.
    """
    return ScoreTable(_read_info(folder / INFO), _read_object(folder / SPECS), _read_items(folder / ATOMS))


def read_values(folder: Path) -> tuple[ImageValue, ...]:
    """Reads the derived value of each image, in image order.

    Raises:
        ArtifactError: for a missing file or a broken row; names file and row.
    """
    return tuple(_parse_value(row) for row in read_rows(folder / VALUES))


def atom_rows(item: ItemAtoms) -> list[dict[str, Any]]:
    """The rows of one image: one per atom, or a single one with `key` null."""
    where = {"item_id": item.item_id, "prompt_id": item.prompt_id, "k": item.k}
    rows = [where | attrs.asdict(atom, recurse=False) | _plain(atom) for atom in item.atoms]
    return rows or [where | {"key": None}]


def parse_atom(row: Row) -> Atom:
    """The atom in a row."""
    status = row.take("status", str)
    if status not in _STATUSES:
        raise row.error(f"'status' is '{status}', must be one of {', '.join(_STATUSES)}")
    return Atom(
        key=row.take("key", str),
        value=row.number_or_none("value"),
        raw=row.optional("raw", str),
        status=status,  # type: ignore[arg-type]  # checked above
        data=row.take("data", dict),
    )


def _plain(atom: Atom) -> dict[str, Any]:
    # 1, True and 1.0 must be one text, else a resumed table would differ from a straight one.
    return {"value": None if atom.value is None else float(atom.value), "data": dict(atom.data)}


def _read_items(path: Path) -> tuple[ItemAtoms, ...]:
    atoms: dict[str, list[Atom]] = {}
    heads: dict[str, tuple[str, int]] = {}
    for row in read_rows(path):
        item_id = row.take("item_id", str)
        head = row.take("prompt_id", str), row.take("k", int)
        if heads.setdefault(item_id, head) != head:
            raise row.error(f"image '{item_id}' has two prompts or sample indices")
        found = atoms.setdefault(item_id, [])
        if row.values.get("key") is not None:
            found.append(parse_atom(row))
    return tuple(
        ItemAtoms(item_id=item_id, prompt_id=heads[item_id][0], k=heads[item_id][1], atoms=tuple(found))
        for item_id, found in atoms.items()
    )


def _parse_value(row: Row) -> ImageValue:
    values = row.take("values", dict)
    inner = Row(row.path, row.number, values)
    return ImageValue(
        row.take("item_id", str),
        row.take("prompt_id", str),
        row.take("k", int),
        {rule: inner.number_or_none(rule) for rule in values},
    )


def _read_info(path: Path) -> MetricInfo:
    row = Row(path, 1, _read_object(path))
    low_high = row.take("range", list)
    if len(low_high) != 2:
        raise row.error("'range' must hold two values")
    return MetricInfo(
        name=row.take("name", str),
        version=row.take("version", str),
        range=(low_high[0], low_high[1]),
        higher_is_better=row.take("higher_is_better", bool),
        rules=tuple(row.take("rules", list)),
        judge=row.take("judge", str),
        # Tables of before these were known have neither.
        scale=row.optional("scale", str) or "",
        max_text_tokens=row.optional("max_text_tokens", int),
    )


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file") from None
    except ValueError:
        raise ArtifactError(f"{path}: is no JSON") from None
    if not isinstance(value, dict):
        raise ArtifactError(f"{path}: is {type(value).__name__}, must be an object")
    return value

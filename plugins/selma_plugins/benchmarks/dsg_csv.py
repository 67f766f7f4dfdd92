"""Reads a benchmark in DSG's CSV format: one row per question, rows of a prompt in file order."""

from __future__ import annotations

import csv
from pathlib import Path

import attrs

from selma_core.data import Entry
from selma_core.errors import ArtifactError
from selma_plugins.benchmarks.groups import group_of

COLUMNS = ("item_id", "text", "proposition_id", "dependency", "category_broad", "category_detailed")
QUESTION = "question_natural_language"


@attrs.frozen
class BenchmarkQuestion:
    """One row. Attributes: dependency = the field as it stands."""

    id: str
    question: str
    dependency: str
    category_broad: str
    category_detailed: str


@attrs.frozen
class BenchmarkPrompt:
    """One prompt. Attributes: id = the CSV's item_id; group = "" when it belongs to none."""

    id: str
    text: str
    group: str
    questions: tuple[BenchmarkQuestion, ...]


def read_benchmark(entry: Entry) -> dict[str, BenchmarkPrompt]:
    """item_id -> prompt with its questions, in file order.

    Raises:
        ArtifactError: no such file, a missing column, or a question id given twice.
    """
    path = _file(entry)
    found: dict[str, BenchmarkPrompt] = {}
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            _check_columns(path, reader.fieldnames or ())
            for row in reader:
                _add(found, row, entry, path)
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"benchmark '{entry.name}': cannot read {path}: {error}") from error
    return found


def _file(entry: Entry) -> Path:
    name = str(entry.data.get("file", ""))
    if entry.path is None:
        raise ArtifactError(f"benchmark '{entry.name}' has no file on this machine")
    return entry.path / name if name and entry.path.is_dir() else entry.path


def _check_columns(path: Path, columns: object) -> None:
    missing = [name for name in (*COLUMNS, QUESTION) if name not in tuple(columns)]  # type: ignore[arg-type]
    if missing:
        raise ArtifactError(f"{path} is not in DSG's CSV format: no column {', '.join(missing)}")


def _add(found: dict[str, BenchmarkPrompt], row: dict[str, str], entry: Entry, path: Path) -> None:
    key = row["item_id"]
    if any(row[name] is None for name in (*COLUMNS, QUESTION)):
        raise ArtifactError(f"{path}: prompt '{key}' has a row with too few columns")
    question = BenchmarkQuestion(
        row["proposition_id"], row[QUESTION], row["dependency"], row["category_broad"], row["category_detailed"]
    )
    known = found.get(key) or BenchmarkPrompt(key, row["text"], group_of(key, entry), ())
    if any(question.id == other.id for other in known.questions):
        raise ArtifactError(f"{path}: prompt '{key}' has question {question.id} twice")
    found[key] = attrs.evolve(known, questions=(*known.questions, question))

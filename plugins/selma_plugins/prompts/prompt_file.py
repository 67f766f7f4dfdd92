"""Prompts from a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from selma_core.data import Prompt, PromptBatch, Rejected
from selma_core.errors import ArtifactError, did_you_mean
from selma_core.protocols import PromptJob
from selma_plugins.prompts.identity import prompt_id
from selma_plugins.prompts.options import PromptFileOptions
from selma_plugins.prompts.screen import NotSeen, not_empty


class PromptFile:
    """The first `n` distinct prompts of a file, in file order."""

    def __init__(self, options: PromptFileOptions) -> None:
        self._options = options

    def prompts(self, job: PromptJob) -> Iterator[PromptBatch]:
        """Yields one batch with all prompts.

        Raises:
            ArtifactError: the file cannot be read; names file and row.
        """
        if job.done:
            return
        options = self._options
        path = job.context.entry("files", options.path).path or Path(options.path)
        accepted, rejected, seen = list[Prompt](), list[Rejected](), NotSeen()
        for text in read_texts(path, options.column):
            if options.n is not None and len(accepted) == options.n:
                break
            bad = not_empty(text) or seen(text)
            if bad is not None:
                rejected.append(bad)
                continue
            seen.add(text)
            accepted.append(Prompt(id=prompt_id(options.skill, len(accepted)), text=text, skill=options.skill))
        if options.n is not None and len(accepted) < options.n:
            job.context.warn(f"{path.name} holds {len(accepted)} distinct prompts, not {options.n}")
        yield PromptBatch(accepted=tuple(accepted), rejected=tuple(rejected))


def read_texts(path: Path, column: str) -> list[str]:
    """All prompts of a JSON, JSONL, CSV or TXT file (by its ending), stripped.

    Raises:
        ArtifactError: an ending that is none of these, or a file that does not fit its ending.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ArtifactError(f"{path}: cannot tell the format; the name must end in {', '.join(_READERS)}")
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error
    return [text.strip() for text in reader(content, path, column)]


def _read_json(content: str, path: Path, column: str) -> Iterator[str]:
    value = _parse(content, f"{path}")
    if not isinstance(value, list):
        raise ArtifactError(f"{path}: must hold a JSON list of strings, not {type(value).__name__}")
    for number, entry in enumerate(value, 1):
        yield _text(entry, column, f"{path}, entry {number}")


def _read_jsonl(content: str, path: Path, column: str) -> Iterator[str]:
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            yield _text(_parse(line, f"{path}, row {number}"), column, f"{path}, row {number}")


def _read_csv(content: str, path: Path, column: str) -> Iterator[str]:
    reader = csv.DictReader(content.splitlines(keepends=True))
    names = list(reader.fieldnames or ())
    if column not in names:
        raise ArtifactError(f"{path}: has no column '{column}'; {did_you_mean(column, names)}")
    for row in reader:
        yield row[column] or ""


def _read_txt(content: str, path: Path, column: str) -> Iterator[str]:
    yield from (line for line in content.split("\n") if line.strip())


def _parse(content: str, where: str) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise ArtifactError(f"{where}: is no JSON: {error}") from None


def _text(entry: Any, column: str, where: str) -> str:
    found = entry.get(column) if isinstance(entry, dict) else entry
    if not isinstance(found, str):
        what = f"has no text under '{column}'" if isinstance(entry, dict) else "is not a string"
        raise ArtifactError(f"{where}: {what}")
    return found


_READERS: dict[str, Callable[[str, Path, str], Iterator[str]]] = {
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".txt": _read_txt,
}

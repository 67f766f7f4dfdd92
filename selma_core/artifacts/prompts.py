"""Prompt sets: `prompts.jsonl` {id, text, skill, meta}, `rejected.jsonl` {text, reason, detail}."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from selma_core.artifacts.jsonl import Row, read_rows, write_rows
from selma_core.data import Prompt, Rejected

PROMPTS = "prompts.jsonl"
REJECTED = "rejected.jsonl"


@attrs.frozen
class PromptSet:
    """A stored prompt set, in its order, with the candidates that were not kept."""

    prompts: tuple[Prompt, ...]
    rejected: tuple[Rejected, ...] = ()


def write_prompts(folder: Path, found: PromptSet) -> None:
    """Writes both files into a folder."""
    write_rows(folder / PROMPTS, map(prompt_row, found.prompts))
    write_rows(folder / REJECTED, map(rejected_row, found.rejected))


def read_prompts(folder: Path) -> PromptSet:
    """Reads a prompt set.

    Raises:
        ArtifactError: for a missing file, a broken row, or an id that occurs twice; names file and row.
    """
    prompts: dict[str, Prompt] = {}
    for row in read_rows(folder / PROMPTS):
        prompt = parse_prompt(row)
        if prompt.id in prompts:
            raise row.error(f"id '{prompt.id}' occurs twice")
        prompts[prompt.id] = prompt
    rejected = map(parse_rejected, read_rows(folder / REJECTED))
    return PromptSet(tuple(prompts.values()), tuple(rejected))


def prompt_row(prompt: Prompt) -> dict[str, Any]:
    """A prompt as a JSON row."""
    return {"id": prompt.id, "text": prompt.text, "skill": prompt.skill, "meta": dict(prompt.meta)}


def rejected_row(rejected: Rejected) -> dict[str, Any]:
    """A rejected candidate as a JSON row."""
    return {"text": rejected.text, "reason": rejected.reason, "detail": rejected.detail}


def parse_prompt(row: Row) -> Prompt:
    """The prompt in a row."""
    meta: Mapping[str, Any] = row.take("meta", dict)
    return Prompt(id=row.take("id", str), text=row.take("text", str), skill=row.take("skill", str), meta=meta)


def parse_rejected(row: Row) -> Rejected:
    """The rejected candidate in a row."""
    return Rejected(text=row.take("text", str), reason=row.take("reason", str), detail=row.take("detail", str))


def unique_ids(prompts: Iterable[Prompt]) -> str | None:
    """The first prompt id that occurs twice, or None."""
    seen: set[str] = set()
    for prompt in prompts:
        if prompt.id in seen:
            return prompt.id
        seen.add(prompt.id)
    return None

"""Stage `prompt_source`: batches are stored one by one, then put together."""

from __future__ import annotations

from selma_core.artifacts.jsonl import Appender, Row, repair
from selma_core.artifacts.prompts import (
    PromptSet,
    parse_prompt,
    parse_rejected,
    prompt_row,
    rejected_row,
    unique_ids,
    write_prompts,
)
from selma_core.data import PromptBatch
from selma_core.errors import StageError
from selma_core.protocols import PromptJob
from selma_core.stages.task import Task


def run_prompts(task: Task) -> None:
    """Asks the source for the batches that are not stored yet, then writes the set in order."""
    path = task.scratch / "batches.jsonl"
    batches = [_parse_batch(row) for row in repair(path)]
    with Appender(path) as file:
        for batch in task.implementation.prompts(PromptJob(context=task.context, done=tuple(batches))):
            file.add(_batch_row(batch))
            batches.append(batch)
    prompts = tuple(prompt for batch in batches for prompt in batch.accepted)
    if not prompts:
        raise StageError("the prompt source gave no prompts")
    twice = unique_ids(prompts)
    if twice is not None:
        raise StageError(f"the prompt source gave the id '{twice}' twice")
    write_prompts(task.out, PromptSet(prompts, tuple(rejected for batch in batches for rejected in batch.rejected)))


def _batch_row(batch: PromptBatch) -> dict[str, object]:
    return {
        "accepted": [prompt_row(prompt) for prompt in batch.accepted],
        "rejected": [rejected_row(rejected) for rejected in batch.rejected],
    }


def _parse_batch(row: Row) -> PromptBatch:
    inner = {
        key: [Row(row.path, row.number, entry) for entry in row.take(key, list)] for key in ("accepted", "rejected")
    }
    return PromptBatch(
        accepted=tuple(map(parse_prompt, inner["accepted"])), rejected=tuple(map(parse_rejected, inner["rejected"]))
    )

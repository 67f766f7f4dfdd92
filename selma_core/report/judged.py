"""The judged images: for each prompt and seed one per variant, with its score and the questions it failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import attrs

from selma_core.artifacts.scores import read_values
from selma_core.data import ImageItem, PromptScore
from selma_core.report.questions import failed_questions
from selma_core.report.source import ReportSource, read_or_note


@attrs.frozen
class Judged:
    """One image. Attributes: score = as reported; asked = questions answered, 0 for none; failed = of them."""

    item: ImageItem
    score: float | None
    asked: int
    failed: tuple[str, ...]


@attrs.frozen
class Slot:
    """One prompt and one sample index. Attributes: images = variant -> what it drew."""

    text: str
    groups: tuple[str, ...]
    k: int
    seed: int | None
    images: Mapping[str, Judged]


def slots(source: ReportSource, notes: list[str]) -> list[Slot]:
    """Every judged prompt and sample, the groups in turn: ordered by the benchmark, never by score."""
    drawn = _drawn(source, notes)
    prompts = _spread(_prompts(source, {key for items in drawn.values() for key, _ in items}))
    samples = sorted({k for items in drawn.values() for _, k in items})
    found = []
    for k in samples:
        for prompt in prompts:
            images = {
                name: items[prompt.prompt_id, k] for name, items in drawn.items() if (prompt.prompt_id, k) in items
            }
            if images:
                first = next(iter(images.values())).item
                found.append(Slot(first.prompt.text, prompt.groups, k, first.seed, images))
    return found


def _drawn(source: ReportSource, notes: list[str]) -> dict[str, dict[tuple[str, int], Judged]]:
    """Variant -> (prompt id, k) -> image. Variants that share a stage share what is read of it."""
    known, answers = cache(read_values), cache(failed_questions)
    found = {}
    for variant, summaries in source.summaries.items():
        node = source.sample_node(variant)
        if node is None or node.artifact is None:
            continue
        items = read_or_note(notes, f"images of {variant}", source.images, node.id) or ()
        scored, summary = source.score_node(variant, source.headline), summaries.get(source.headline)
        folder = None if scored is None else scored.artifact
        values: dict[str, float] = {}
        failed: Mapping[str, tuple[int, tuple[str, ...]]] = {}
        if folder is not None and summary is not None:
            rows = read_or_note(notes, f"scores of {variant}", known, folder) or ()
            observed = ((row.item_id, row.values.get(summary.rule)) for row in rows)
            values = {name: value * summary.scale for name, value in observed if value is not None}
            failed = read_or_note(notes, f"answers about {variant}", answers, folder) or {}
        found[variant] = {
            (item.prompt.id, item.k): Judged(item, values.get(item.item_id), *failed.get(item.item_id, (0, ())))
            for item in items
        }
    return found


def _prompts(source: ReportSource, known: set[str]) -> list[PromptScore]:
    """The prompts of the first variant with scores that some variant has drawn."""
    metric = source.headline
    summary = next((found[metric] for found in source.summaries.values() if metric in found), None)
    return [prompt for prompt in (summary.prompts if summary else ()) if prompt.prompt_id in known]


def _spread(prompts: Sequence[PromptScore]) -> list[PromptScore]:
    """One prompt of each group, then a second one of each, and so on."""
    seen: dict[tuple[str, ...], int] = {}
    turns = []
    for prompt in prompts:
        seen[prompt.groups] = seen.get(prompt.groups, 0) + 1
        turns.append(seen[prompt.groups])
    return [prompts[i] for i in sorted(range(len(prompts)), key=lambda i: turns[i])]

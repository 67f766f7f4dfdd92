"""Writing questions prompt by prompt, so that a killed run asks for none twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from selma_core.artifacts.jsonl import Appender, repair
from selma_core.data import Atom, ImageItem, ItemAtoms, Prompt
from selma_core.errors import StageError
from selma_core.protocols import Context

BATCH = 32
FILE = "questions.jsonl"
UNWRITTEN = "questions"
"""Key of the atom of an image whose prompt has no questions."""

Spec = dict[str, Any]


def write_all(
    prompts: Sequence[Prompt], context: Context, write: Callable[[Sequence[Prompt]], Sequence[Spec]]
) -> dict[str, Spec]:
    """Prompt id -> spec, with `expected`: how many answers each image of the prompt should have.

    A prompt without questions (`unwritten` says why) expects as many as the others have on average, so that it lowers
    the coverage by its share.

    Args:
        write: prompts -> their specs, in order; called for `BATCH` prompts at a time, whose specs are then stored.

    Raises:
        StageError: no prompt has questions.
    """
    path = context.workdir / FILE
    found: dict[str, Spec] = {row.take("id", str): row.take("spec", dict) for row in repair(path)}
    left = [prompt for prompt in prompts if prompt.id not in found]
    with Appender(path) as file:
        for start in range(0, len(left), BATCH):
            context.progress(len(prompts) - len(left) + start, len(prompts), "writing questions")
            part = left[start : start + BATCH]
            for prompt, spec in zip(part, write(part), strict=True):
                found[prompt.id] = spec
                file.add({"id": prompt.id, "spec": spec})
    return _expecting({prompt.id: found[prompt.id] for prompt in prompts})


def warn_of(specs: Mapping[str, Spec], context: Context) -> None:
    """What the user should know of written questions: prompts that have none, and lines that needed care."""
    bare = {key: spec["unwritten"] for key, spec in specs.items() if "unwritten" in spec}
    if bare:
        key, reason = next(iter(bare.items()))
        context.warn(
            f"{len(bare)} of {len(specs)} prompts have no questions, first: '{key}' ({reason}); they lower the "
            "coverage, not the score"
        )
    lines = [f"prompt '{key}': {line}" for key, spec in specs.items() for line in spec.get("complaints", ())]
    if lines:
        context.warn(f"{len(lines)} lines of written questions needed care; first: {lines[0]}")


def without_questions(item: ImageItem, spec: Mapping[str, Any]) -> ItemAtoms:
    """The row of an image of a prompt that has no questions."""
    atom = Atom(key=UNWRITTEN, value=None, raw=f"no questions: {spec['unwritten']}", status="skipped")
    return ItemAtoms(item_id=item.item_id, prompt_id=item.prompt.id, k=item.k, atoms=(atom,))


def _expecting(specs: dict[str, Spec]) -> dict[str, Spec]:
    counts = [spec.get("expected", len(spec["questions"])) for spec in specs.values() if "unwritten" not in spec]
    if specs and not counts:
        key, spec = next(iter(specs.items()))
        raise StageError(f"no prompt has questions; first: '{key}' ({spec['unwritten']}); choose another chat model")
    return {
        key: {"expected": max(1, round(fmean(counts))) if "unwritten" in spec else len(spec["questions"])} | spec
        for key, spec in specs.items()
    }

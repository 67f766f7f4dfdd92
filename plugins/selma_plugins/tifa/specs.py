"""What the scores of a caption are computed with, as JSON.

A spec is `{text, groups, questions: [{id, question, choices, answer, element_type, element}], expected}`: `expected` =
how many answers each image of the caption should have. `missing`: the caption has no image at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selma_core.data import Prompt
from selma_core.errors import ArtifactError
from selma_plugins.benchmarks.item import BenchmarkItem
from selma_plugins.benchmarks.matching import known_prompt


def specs_of(
    prompts: Sequence[Prompt], captions: Mapping[str, BenchmarkItem], name: str, *, everything: bool
) -> dict[str, Any]:
    """Caption id -> spec; with `everything` also of captions that no prompt stands for, so that they are missed.

    Raises:
        UnknownNameError: a prompt that the file does not have. UserError: one that reads differently there.
        ArtifactError: a caption without questions, or a question whose answer is none of its choices.
    """
    found = {prompt.id: spec_of(known_prompt(prompt, captions, name)) for prompt in prompts}
    if everything:
        for key, caption in captions.items():
            if key not in found:
                found[key] = _missing(caption)
    return found


def spec_of(caption: BenchmarkItem) -> dict[str, Any]:
    """The spec of a caption.

    Raises:
        ArtifactError: it has no questions, or a question whose answer is none of its choices.
    """
    if not caption.questions:
        raise ArtifactError(f"caption '{caption.id}' has no questions; tifa needs a file with questions and choices")
    questions = [_question(i, row, caption.id) for i, row in enumerate(caption.questions)]
    return {"text": caption.text, "groups": _groups(caption), "questions": questions, "expected": len(questions)}


def missing(specs: Mapping[str, Any]) -> list[str]:
    """The captions that have no image."""
    return [key for key, spec in specs.items() if spec.get("missing")]


def _missing(caption: BenchmarkItem) -> dict[str, Any]:
    # Without its questions: nobody asks them, and TIFA's whole file holds 25,000.
    expected = len(caption.questions)
    return {"text": caption.text, "groups": _groups(caption), "questions": [], "expected": expected, "missing": True}


def _groups(caption: BenchmarkItem) -> list[str]:
    return [caption.group] if caption.group else []


def _question(index: int, row: Mapping[str, Any], caption: str) -> dict[str, Any]:
    choices = [str(choice) for choice in row["choices"]]
    if row["answer"] not in choices:
        raise ArtifactError(f"caption '{caption}': the answer to '{row['question']}' is none of its choices")
    return {
        "id": f"{index:02d}",
        "question": row["question"],
        "choices": choices,
        "answer": row["answer"],
        "element_type": str(row.get("element_type", "")),
        "element": str(row.get("element", "")),
    }

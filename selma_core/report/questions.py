"""The questions that the judge answered wrong, image by image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selma_core.artifacts.scores import read_scores
from selma_core.data import Atom


def failed_questions(folder: Path) -> dict[str, tuple[int, tuple[str, ...]]]:
    """item_id -> (questions answered, texts of those that failed); images without questions are left out.

    A question failed where the observation is below one half: an answer `no`, or a probability of `yes` below .5. An
    observation without a text (a similarity, a reward) is no question.

    Raises:
        ArtifactError: when the scores cannot be read.
    """
    table = read_scores(folder)
    found = {}
    for row in table.rows:
        texts = _texts(table.specs.get(row.prompt_id))
        asked = [(atom, text) for atom in row.atoms if (text := _text(atom, texts))]
        answered = [(atom.value, text) for atom, text in asked if atom.status == "ok" and atom.value is not None]
        if answered:
            wrong = dict.fromkeys(text for value, text in answered if value < 0.5)
            found[row.item_id] = len(answered), tuple(wrong)
    return found


def _texts(spec: Any) -> dict[str, str]:
    """Question id -> text, from a spec of `{questions: [{id, question}]}`."""
    questions = spec.get("questions") if isinstance(spec, Mapping) else None
    rows = [row for row in questions or [] if isinstance(row, Mapping) and "id" in row and "question" in row]
    return {str(row["id"]): str(row["question"]) for row in rows}


def _text(atom: Atom, texts: Mapping[str, str]) -> str:
    own = atom.data.get("question")
    return own if isinstance(own, str) else texts.get(atom.key, "")

"""The questions of an image that were answered, and their means by class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from selma_core.data import Atom, ItemAtoms

Question = Mapping[str, Any]
"""`{id, ...}`, a question of a spec `{questions: [...]}`."""


def observed(atoms: Sequence[Atom], spec: Mapping[str, Any]) -> list[tuple[Question, float]]:
    """The spec's questions that have a value, in its order, with it."""
    values = {atom.key: atom.value for atom in atoms if atom.status == "ok" and atom.value is not None}
    return [(question, values[question["id"]]) for question in spec["questions"] if question["id"] in values]


def means_by(field: str, rows: Sequence[ItemAtoms], specs: Mapping[str, Any]) -> dict[str, float]:
    """Class (a field of the questions) -> mean over all its questions and images, in per cent; sorted by class."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for question, value in observed(row.atoms, specs[row.prompt_id]):
            found[question[field]].append(value)
    return {name: 100.0 * fmean(found[name]) for name in sorted(found)}

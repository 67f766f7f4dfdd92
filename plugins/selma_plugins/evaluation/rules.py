"""DSG's scoring rules. The same answers give 80.5, 82.9, 77.8 or 53.3, so a number names its rule.

A rule's `zero` takes the questions of one image in file order and gives each one's score in the same order:
its answer, or 0 where a question it depends on failed. None = not observed: a question counts only when its
own answer and all answers that its score may depend on were observed, so that failed calls do not bend the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from selma_core.errors import UnknownNameError, did_you_mean
from selma_plugins.evaluation.dependencies import (
    Parents,
    official_parents,
    raw_parents,
    tolerant_parents,
)


@attrs.frozen
class Question:
    """One question about one image. Attributes: dependency = the CSV field as it stands; value = 1, 0 or None."""

    id: str
    dependency: str
    value: float | None


Scores = list[float | None]


def nodep(questions: Sequence[Question]) -> Scores:
    """Answers as they are."""
    return [question.value for question in questions]


def official(questions: Sequence[Question]) -> Scores:
    """0 where the raw answer to any direct parent is no; no propagation. Source: j-min/DSG."""
    return _by_direct_parents(questions, official_parents(_fields(questions)))


def tolerant(questions: Sequence[Question]) -> Scores:
    """As `official`, but an unusable piece of a field costs only itself."""
    return _by_direct_parents(questions, tolerant_parents(_fields(questions)))


def selma(questions: Sequence[Question]) -> Scores:
    """Zeroed in place while iterating, so that zeros cascade to later rows. Source: jialuli-luka/SELMA."""
    parents = raw_parents(_fields(questions))
    values = {question.id: question.value for question in questions}
    for question in questions:
        values[question.id] = _gated(values[question.id], [values[p] for p in parents[question.id]])
    return [values[question.id] for question in questions]


def transitive(questions: Sequence[Question]) -> Scores:
    """0 where any ancestor failed, whatever the order of rows; fields read as `tolerant`."""
    parents = tolerant_parents(_fields(questions))
    values = {question.id: question.value for question in questions}
    return [_gated(q.value, [values[a] for a in _ancestors(q.id, parents)]) for q in questions]


@attrs.frozen
class Rule:
    """A named rule.

    Attributes:
        zero: questions of one image -> their scores.
        by_question: True averages over all questions (micro), False over prompts (macro).
        all_or_nothing: True makes an image 1 if every score is 1, else 0.
    """

    zero: Callable[[Sequence[Question]], Scores]
    by_question: bool = False
    all_or_nothing: bool = False

    def image(self, questions: Sequence[Question]) -> float | None:
        """The value of one image in [0, 1]; None when nothing (or, for all or nothing, not all) was observed."""
        scores = self.zero(questions)
        seen = [score for score in scores if score is not None]
        if not seen:
            return None
        if not self.all_or_nothing:
            return sum(seen) / len(seen)
        return float(all(seen)) if len(seen) == len(scores) else None


RULES: dict[str, Rule] = {
    "official": Rule(official),
    "selma": Rule(selma, by_question=True),
    "nodep": Rule(nodep),
    "tolerant": Rule(tolerant),
    "transitive": Rule(transitive),
    "strict": Rule(nodep, all_or_nothing=True),
}


def rule_of(name: str) -> Rule:
    """The rule of a name.

    Raises:
        UnknownNameError: with the nearest name.
    """
    if name not in RULES:
        raise UnknownNameError(f"dsg has no rule '{name}': {did_you_mean(name, RULES)}")
    return RULES[name]


def _fields(questions: Sequence[Question]) -> dict[str, str]:
    return {question.id: question.dependency for question in questions}


def _by_direct_parents(questions: Sequence[Question], parents: Parents) -> Scores:
    values = {question.id: question.value for question in questions}
    return [_gated(q.value, [values[p] for p in parents[q.id]]) for q in questions]


def _gated(value: float | None, needed: Sequence[float | None]) -> float | None:
    if value is None or None in needed:
        return None
    return value if all(needed) else 0.0


def _ancestors(key: str, parents: Parents) -> list[str]:
    """All questions that `key` depends on, nearest first; a cycle does not include `key` itself."""
    found: dict[str, None] = {}
    waiting = list(parents[key])
    while waiting:
        parent = waiting.pop(0)
        if parent != key and parent not in found:
            found[parent] = None
            waiting.extend(parents[parent])
    return list(found)

"""From a judge's free answer to one of a question's choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from selma_plugins.evaluation.answers import normalise


class Nearest(Protocol):
    """A measure of which choice means most nearly what was said."""

    def nearest(self, answer: str, choices: Sequence[str]) -> str:
        """One of the choices."""


def literal_choice(answer: str, choices: Sequence[str]) -> str | None:
    """The choice that the answer is, without case, punctuation and outer blanks; None when it is none or several."""
    if answer.strip() in choices:
        return answer.strip()
    said = normalise(answer)
    found = [choice for choice in choices if said and normalise(choice) == said]
    return found[0] if len(found) == 1 else None


def likeliest_choice(p: Mapping[str, float]) -> str | None:
    """The choice with the highest probability; None where two share it: their first token is the same."""
    best = max(p.values())
    found = [choice for choice, value in p.items() if value == best]
    return found[0] if len(found) == 1 else None

"""The checks a candidate prompt passes, in order, each with the reason it may fail for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from selma_core.data import Rejected
from selma_plugins.prompts.rouge import RougePool, tokens

Check = Callable[[str], Rejected | None]


@runtime_checkable
class Bounded(Protocol):
    """A prompt source that knows what it could never have written, such as the grammar of a closed world.

    Any prompt source with this method can be named in the option `within` of `llm_skills`.
    """

    def refuses(self, text: str) -> Rejected | None:
        """Why a text is not one of its own (reasons `vocabulary`, `too_long`, ...), or None."""


def not_empty(text: str) -> Rejected | None:
    """Rejects a text without a word."""
    return None if tokens(text) else Rejected(text=text, reason="empty")


class NotSeen:
    """Rejects a text whose words, in order, are those of an earlier one."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], str] = {}

    def __call__(self, text: str) -> Rejected | None:
        """The check."""
        known = self._seen.get(tuple(tokens(text)))
        return None if known is None else Rejected(text=text, reason="duplicate", detail=known)

    def add(self, text: str) -> None:
        """Remembers a text."""
        self._seen.setdefault(tuple(tokens(text)), text)


def at_most(words: int) -> Check:
    """Rejects a text of more than so many words (split at blanks)."""

    def check(text: str) -> Rejected | None:
        found = len(text.split())
        return None if found <= words else Rejected(text=text, reason="too_long", detail=f"{found} words")

    return check


def unlike(pool: RougePool, above: float, reason: str) -> Check:
    """Rejects a text whose ROUGE-L F1 to any of a pool is above `above`; equality passes."""

    def check(text: str) -> Rejected | None:
        near = pool.nearest(text, above)
        return None if near is None else Rejected(text=text, reason=reason, detail=f"{near.score:.3f} {near.text}")

    return check

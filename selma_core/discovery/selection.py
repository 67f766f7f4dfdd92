"""`SELMA_PLUGINS`: which installed plugins are looked at."""

from __future__ import annotations

import attrs
from packaging.utils import canonicalize_name

from selma_core.discovery.candidates import Candidate


@attrs.frozen
class Selection:
    """A parsed `SELMA_PLUGINS`.

    `all` (or nothing) takes every entry point, `none` takes none, `foo,bar` only those, `all,-foo` or `-foo` all but
    one. A name is an entry point (`chat`), a distribution (`selma`), or both (`selma:chat`). The bundled plugins are
    governed like any other. Single files are named by the user on purpose, so they are always taken.
    """

    wanted: tuple[str, ...] | None
    unwanted: tuple[str, ...]

    @classmethod
    def parse(cls, text: str | None) -> Selection:
        """Reads the comma-separated value; None and "" mean `all`."""
        words = [word.strip() for word in (text or "").split(",") if word.strip()]
        unwanted = tuple(word[1:].strip() for word in words if word.startswith("-"))
        wanted = tuple(word for word in words if not word.startswith("-") and word not in ("all", "none"))
        if wanted or "none" in words:
            return cls(wanted, unwanted)
        return cls(None, unwanted)

    def takes(self, candidate: Candidate) -> bool:
        """Whether this entry point is looked at."""
        if any(_names(word, candidate) for word in self.unwanted):
            return False
        return self.wanted is None or any(_names(word, candidate) for word in self.wanted)

    def unmatched(self, candidates: list[Candidate]) -> list[str]:
        """The names that no installed plugin has: most likely typing errors."""
        words = (self.wanted or ()) + self.unwanted
        return [word for word in words if not any(_names(word, candidate) for candidate in candidates)]


def _names(word: str, candidate: Candidate) -> bool:
    distribution, colon, entry_point = word.rpartition(":")
    if colon:
        return _same(distribution, candidate.provider) and entry_point == candidate.entry_point
    return word == candidate.entry_point or _same(word, candidate.provider)


def _same(left: str, right: str) -> bool:
    return canonicalize_name(left) == canonicalize_name(right)

"""Where a long text is cut into sentences: for text encoders and for scores by sentence. Imports no torch."""

from __future__ import annotations

import re
from itertools import pairwise

# As released, with its stray quotes: it splits at `"!`, `.`, `?` and `;"`, so in practice at `.` and `?` only.
_OFFICIAL = re.compile(r'"!|\.|\?|;"')
# What was meant; a mark within a word or number (2.5) is no end.
_FIXED = re.compile(r"(?<=[.!?;])\s+")
# An end: marks, then perhaps closing quotes or brackets, then a blank.
_END = re.compile(r"[.!?;]+[\"'”’)\]]*\s+")
# Words whose full stop ends no sentence; `U.S.`, `e.g.` and initials are known by their form.
_SHORT = frozenset(
    ["approx", "ca", "cf", "dr", "etc", "fig", "jr", "mr", "mrs", "ms", "mt", "no", "prof", "sr", "st", "vs"]
)
_LETTERS = re.compile(r"(?:^|[^\w.])(?:[A-Za-z]\.)+$")
_LAST_WORD = re.compile(r"(\w+)\.$")


def split(text: str, how: str) -> list[str]:
    """The sentences of a text, at least one.

    Args: how = `sentence`: at `.`, `!`, `?` and `;` before a blank, but not after abbreviations and initials, marks
        kept, blanks trimmed; `fixed`: the same, abbreviations too; `official`: as the released code, each piece with a
        full stop put after it, blanks kept.
    """
    if how == "official":
        return [piece + "." for piece in _OFFICIAL.split(text) if piece] or [text]
    pieces = _FIXED.split(text) if how == "fixed" else _sentences(text)
    return [piece.strip() for piece in pieces if piece.strip()] or [text]


def _sentences(text: str) -> list[str]:
    ends = [match.end() for match in _END.finditer(text) if not _shortened(text[: match.end()].rstrip())]
    return [text[start:end] for start, end in pairwise([0, *ends, len(text)])]


def _shortened(before: str) -> bool:
    """Whether what stands before a blank ends in an abbreviation."""
    if _LETTERS.search(before):
        # `a. b.`: one letter may be a word; the letters of `U.S.` and the initial of `J. Smith` are capitals.
        return before[-2].isupper() or before[-3:-2] == "."
    word = _LAST_WORD.search(before)
    return word is not None and word[1].lower() in _SHORT

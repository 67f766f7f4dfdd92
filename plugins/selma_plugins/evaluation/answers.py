"""What a judge's words count as."""

from __future__ import annotations

import string
from typing import Literal

_REMOVED = str.maketrans("", "", string.punctuation)


def normalise(answer: str) -> str:
    """The answer without punctuation and outer blanks, in lower case."""
    return answer.translate(_REMOVED).strip().lower()


def verdict(answer: str) -> Literal["yes", "no", "unclear"]:
    """`yes` and `no` only when nothing else was said: "yes, probably" is unclear."""
    match normalise(answer):
        case "yes":
            return "yes"
        case "no":
            return "no"
        case _:
            return "unclear"

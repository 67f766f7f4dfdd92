"""Answers DSG questions about a picture of the world by measuring its pixels."""

import re
from collections.abc import Callable, Sequence
from statistics import fmean

from PIL import Image

from selma_plugins.shapes.perception import Seen, View, perceive
from selma_plugins.shapes.questions import ASKED
from selma_plugins.shapes.scene import BACKGROUNDS, COLORS, SHAPES, SIZES
from selma_plugins.shapes.words import NUMBERS, PLURALS

MIN_OFFSET = 3.0  # pixels between centres for a relation to hold

_SINGULAR = {**{s: s for s in SHAPES}, **{p: s for s, p in PLURALS.items()}}
_COUNTS = {words[0]: number for number, words in NUMBERS.items()}
_NAME = f"({'|'.join(sorted(_SINGULAR, key=len, reverse=True))})"
_WHERE = {phrase: where for where, phrase in ASKED.items()}

Check = Callable[[View, Sequence[str]], bool]


def answer(image: Image.Image, question: str) -> str:
    """ "yes" or "no" to a question of the world. Everything is "no" where there is no object.

    Raises ValueError, naming the question, if it is none that the world asks.
    """
    text = " ".join(question.lower().split()).rstrip("?").strip()
    for pattern, check in _CHECKS:
        found = pattern.fullmatch(text)
        if found:
            view = perceive(image)
            return "yes" if view.objects and check(view, found.groups()) else "no"
    raise ValueError(f"the shapes oracle cannot read the question {question!r}")


def _of(view: View, name: str) -> list[Seen]:
    return [o for o in view.objects if o.shape == _SINGULAR[name]]


def _there(view: View, words: Sequence[str]) -> bool:
    return bool(_of(view, words[0]))


def _many(view: View, words: Sequence[str]) -> bool:
    return len(_of(view, words[1])) == _COUNTS[words[0]]


def _colored(view: View, words: Sequence[str]) -> bool:
    found = _of(view, words[0])
    return bool(found) and all(o.color == words[1] for o in found)


def _sized(view: View, words: Sequence[str]) -> bool:
    found = _of(view, words[0])
    return bool(found) and all(o.size == words[1] for o in found)


def _placed(view: View, words: Sequence[str]) -> bool:
    first, second = _of(view, words[0]), _of(view, words[2])
    if not first or not second:
        return False
    dx = fmean(o.cx for o in first) - fmean(o.cx for o in second)
    dy = fmean(o.cy for o in first) - fmean(o.cy for o in second)
    across = abs(dx) >= abs(dy)
    reach = {"left": -dx, "right": dx, "above": -dy, "below": dy}[_WHERE[words[1]]]
    return reach >= MIN_OFFSET and across == (_WHERE[words[1]] in ("left", "right"))


def _behind(view: View, words: Sequence[str]) -> bool:
    return view.background == words[0]


def _any(words: Sequence[str]) -> str:
    return f"({'|'.join(words)})"


_CHECKS: tuple[tuple[re.Pattern[str], Check], ...] = (
    (re.compile(f"(?:is there (?:an? )?|are there ){_NAME}"), _there),
    (re.compile(f"(?:is|are) there (?:exactly )?{_any(list(_COUNTS))} {_NAME}"), _many),
    (re.compile(f"(?:is|are) the {_NAME} {_any(COLORS)}"), _colored),
    (re.compile(f"(?:is|are) the {_NAME} {_any(SIZES)}"), _sized),
    (re.compile(f"(?:is|are) the {_NAME} {_any(list(_WHERE))} the {_NAME}"), _placed),
    (re.compile(f"is the background {_any(BACKGROUNDS)}"), _behind),
)

"""What a prompt names by itself: colours, numbers, actions, as questions with their answers. Plain rules, no model.

    a green bench                     What color is the bench?      green
    two dogs and one bird             How many dogs are there?      two (and how many birds: one)
    A man is reading on a bench.      Is the man reading on a bench?  yes

Colours and numbers are asked openly, for a judge that likes to say yes would confirm any. Only what can be asked for by
its name is asked: not a thing that the prompt has in two colours or numbers, not an action without `is` or `are`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import attrs

from selma_plugins.vqa.options import CATEGORIES, Category
from selma_plugins.vqa.phrases import BREAKS, COLOURS, DETERMINERS, template_phrases

_NUMBER_WORDS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty
"""
NUMBERS = tuple(_NUMBER_WORDS.split())
"""The word of each number, from 0."""

_ALIKE = {"grey": "gray", "golden": "gold"}
_WORD = re.compile(r"\w+(?:[-'’]\w+)*")
_PLURAL_OF = {"person": "people", "man": "men", "woman": "women", "child": "children", "mouse": "mice"}
_PLURAL_OF |= {
    "goose": "geese",
    "foot": "feet",
    "tooth": "teeth",
    "knife": "knives",
    "leaf": "leaves",
    "wolf": "wolves",
}
_PLURAL_OF |= {same: same for same in ("sheep", "deer", "fish", "goldfish", "shrimp", "cattle")}
_PAST_WORDS = "flew hung lay ran rode sat slept stood swam was were"
_PAST = frozenset(_PAST_WORDS.split())
_MAIN = re.compile(
    r"^(?P<thing>[^,]*?)\s+(?P<verb>is|are|was|were)\s+(?P<rest>(?:\w+\s+){0,1}?(?P<act>\w+ing)\b.*)$", re.IGNORECASE
)
_FURTHER = re.compile(r"(?:,|,?\s+and|,?\s+while)\s+(?=(?:\w+ly\s+)?(?P<act>\w+ing)\b)", re.IGNORECASE)
_THING_WORDS = """
    anything ceiling clothing during earring evening everything king morning nothing ring something spring string thing
    wedding wing
"""
_THINGS = frozenset(_THING_WORDS.split())  # in -ing, and no action


@attrs.frozen
class Question:
    """Attributes: answer = a colour or several (`black white`), a number word, or `yes`."""

    category: Category
    question: str
    answer: str


def questions(text: str, categories: Sequence[str] = CATEGORIES) -> list[Question]:
    """What can be asked about a prompt, in order of category; the same question never twice."""
    makers = {"action": _actions, "color": _colours, "counting": _counts}
    return [found for name in CATEGORIES if name in categories for found in _once(makers[name](text))]


def colours_in(text: str) -> frozenset[str]:
    """The colours that a text names, each in one spelling: `Grey and white` -> gray, white."""
    words = (word for word in re.findall(r"[a-z]+", text.lower()) if word in COLOURS)
    return frozenset(_ALIKE.get(word, word) for word in words)


def numbers_in(text: str) -> frozenset[int]:
    """The numbers that a text names, as digits or words: `There are 2.` -> 2; `none` is 0."""
    found = {int(digits) for digits in re.findall(r"(?<![\w.])\d{1,4}(?!\w)", text)}
    words = re.findall(r"[a-z]+", text.lower())
    found |= {NUMBERS.index(word) for word in words if word in NUMBERS}
    return frozenset(found | ({0} if {"none", "no"} & set(words) else set()))


def _once(found: Iterator[Question]) -> Iterator[Question]:
    """Those whose wording has one answer only."""
    answers: dict[str, list[Question]] = {}
    for one in found:
        answers.setdefault(one.question, []).append(one)
    for same in answers.values():
        if len({one.answer for one in same}) == 1:
            yield same[0]


def _colours(text: str) -> Iterator[Question]:
    for phrase in template_phrases(text):
        words = [word.lower() for word in _WORD.findall(phrase)]
        named = [place for place, word in enumerate(words) if word in COLOURS]
        if words[-1:] == ["orange"] and words[-2:-1] and words[-2] in COLOURS:  # a blue orange: the fruit
            named.pop()
        thing = words[named[-1] + 1 :] if named else []
        if thing:
            answer = " ".join(sorted(colours_in(" ".join(words[: named[-1] + 1]))))
            verb = "are" if _plural(thing[-1]) else "is"
            yield Question("color", f"What color {verb} the {' '.join(thing)}?", answer)


def _counts(text: str) -> Iterator[Question]:
    words = re.findall(r"\w+(?:[-'’]\w+)*|[^\w\s]", text)
    for place, word in enumerate(words):
        if word.lower() not in NUMBERS[1:]:
            continue
        thing = _counted(words[place + 1 :], one=word.lower() == "one")
        if thing:
            # Always the plural: "How many dog is there?" would say the answer.
            name = " ".join([*thing[:-1], _plural_of(thing[-1].lower())]).lower()
            yield Question("counting", f"How many {name} are there?", word.lower())


def _counted(words: Sequence[str], *, one: bool) -> list[str]:
    """The thing behind a number: up to its plural; behind `one`, whose noun has none, up to what is no noun."""
    thing: list[str] = []
    for word in words:
        low = word.lower()
        if not word[0].isalpha() or low in BREAKS or low in DETERMINERS or low == "and" or low in NUMBERS:
            break
        if one and thing and (low.endswith(("ed", "ing")) or low in _PAST):
            break
        thing.append(word)
        if not one and _plural(word):
            return thing
    return thing if one else thing[:1]


def _actions(text: str) -> Iterator[Question]:
    for sentence in re.split(r"(?<=[.!?])\s+", text.strip()):
        main = _MAIN.match(sentence.rstrip(" .!?"))
        if main is None or main["act"].lower() in _THINGS:
            continue
        now = "Are" if main["verb"].lower() in ("are", "were") else "Is"
        who = _definite(main["thing"])
        for act in _acts(main["rest"]):
            yield Question("action", f"{now} {who} {act}?", "yes")


def _acts(rest: str) -> Iterator[str]:
    """`walking with a friend and talking about plans` -> both halves."""
    begin = 0
    for cut in _FURTHER.finditer(rest):
        if cut["act"].lower() not in _THINGS:
            yield rest[begin : cut.start()].strip(" ,")
            begin = cut.end()
    yield rest[begin:].strip(" ,")


def _definite(thing: str) -> str:
    """`A person` -> the person; `Two men` -> the two men; `Anna` stays."""
    first, _, others = thing.strip().partition(" ")
    if first.lower() in ("a", "an") and others:
        return f"the {others}"
    if first.lower() in NUMBERS:
        return f"the {first.lower()} {others}".rstrip()
    return f"the {others}" if first.lower() == "the" else thing.strip()


def _plural(word: str) -> bool:
    low = word.lower()
    return low in _PLURAL_OF.values() or (low.endswith("s") and not low.endswith(("ss", "us", "is")))


def _plural_of(word: str) -> str:
    if _plural(word) or word in _PLURAL_OF:
        return _PLURAL_OF.get(word, word)
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "z", "ch", "sh")) else f"{word}s"

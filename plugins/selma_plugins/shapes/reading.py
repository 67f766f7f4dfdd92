"""What a prompt of the world says, read back from its text: the way back from `captions.write`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from attrs import evolve, frozen

from selma_plugins.shapes.scene import BACKGROUNDS, COLORS, MAX_OBJECTS, SHAPES
from selma_plugins.shapes.spec import Group, Relation, Spec
from selma_plugins.shapes.words import ART, BETWEEN, GLUE, MEDIA, NUMBERS, ODD, PLURALS, SIZE_WORDS, split

_COUNTS = {word: count for count, words in NUMBERS.items() for word in words} | {"a": 1, "an": 1}
_SIZES = {word: size for size, words in SIZE_WORDS.items() for word in words}
_NOUNS = {shape: shape for shape in SHAPES} | {plural: shape for shape, plural in PLURALS.items()}
_SIDES = {"on the left": "left", "on the right": "right", "at the top": "above", "at the bottom": "below"}
_LINKS = {phrase: where for where, phrases in BETWEEN.items() for phrase in phrases} | _SIDES
_PLACES = {"left", "right", "above", "over", "below", "under", "top", "bottom"}
# Words that say nothing of the picture's content by themselves.
_EMPTY = {*GLUE, *ODD, *MEDIA, *_PLACES} | {word for phrase in ART for word in split(phrase)}
_BACKGROUND = re.compile(rf"\b(?:({'|'.join(BACKGROUNDS)}) background|background is ({'|'.join(BACKGROUNDS)}))\b")
_ALONE = re.compile(rf" , ({'|'.join(_SIZES)})(?= ,|$)")


@frozen
class _Mention:
    """A group, and the words of it: from `start` up to `stop`."""

    group: Group
    start: int
    stop: int


def read(text: str) -> Spec:
    """The spec that a text states; its groups are in the order in which they are mentioned.

    Raises:
        ValueError: the text is outside of what the world can show, with the reason.
    """
    said = " ".join(split(text))
    background = _BACKGROUND.search(said)
    alone = _ALONE.search(said)
    rest = _ALONE.sub(" ", _BACKGROUND.sub(" ", said))
    words = rest.split()
    found = list(_mentions(words))
    groups = tuple(one.group for one in found)
    if alone and len(groups) == 1:
        groups = (evolve(groups[0], size=_SIZES[alone[1]]),)
    links = tuple(_relations(words, found))
    _check(groups, links, [*_between(words, found)])
    return Spec(groups, links, (background[1] or background[2]) if background else None)


def _mentions(words: list[str]) -> Iterator[_Mention]:
    for place, word in enumerate(words):
        if word not in _NOUNS:
            continue
        start, color, size, count = place, None, None, None
        if start and words[start - 1] in COLORS:
            start, color = start - 1, words[start - 1]
        if start and words[start - 1] in _SIZES:
            start, size = start - 1, _SIZES[words[start - 1]]
        if start and words[start - 1] in _COUNTS:
            start, count = start - 1, _COUNTS[words[start - 1]]
        plural = word not in SHAPES
        if plural and (count or 1) == 1:
            raise ValueError(f"it does not say how many {word}")
        if not plural and (count or 1) > 1:
            raise ValueError(f"it says {count} {word}, not {PLURALS[word]}")
        yield _Mention(Group(_NOUNS[word], color, size, count or 1), start, place + 1)


def _between(words: list[str], found: list[_Mention]) -> Iterator[str]:
    """The words that belong to no group."""
    inside = {place for one in found for place in range(one.start, one.stop)}
    return (word for place, word in enumerate(words) if place not in inside)


def _relations(words: list[str], found: list[_Mention]) -> Iterator[Relation]:
    """By the words that follow the first of two groups: "left of b", "on the left and b on the right"."""
    for place, (one, other) in enumerate(pairwise(found)):
        gap = " ".join(words[one.stop : other.start])
        where = next((where for phrase, where in _LINKS.items() if re.fullmatch(rf"{phrase}(?: and)?", gap)), None)
        if where:
            yield Relation(place, where, place + 1)


def _check(groups: tuple[Group, ...], links: tuple[Relation, ...], others: list[str]) -> None:
    if not groups:
        raise ValueError("it names no shape")
    strange = [word for word in others if word not in _EMPTY]
    if strange:
        raise ValueError(f"'{strange[0]}' means nothing there")
    if len({group.shape for group in groups}) < len(groups):
        raise ValueError("it names a shape twice")
    if sum(group.count for group in groups) > MAX_OBJECTS:
        raise ValueError(f"it names more than {MAX_OBJECTS} objects")
    linked = [groups[place] for link in links for place in (link.first, link.second)]
    if len(links) > 1 or any(group.count > 1 for group in linked):
        raise ValueError("it relates more than two single objects")
    if not links and not _PLACES.isdisjoint(others):
        raise ValueError("it says where, but not of which two")

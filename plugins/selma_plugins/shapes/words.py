"""The closed vocabulary, one token a word, and the phrases made of it."""

import re
from random import Random

from selma_plugins.shapes.scene import BACKGROUNDS, COLORS, SHAPES
from selma_plugins.shapes.spec import Group, Spec

NUMBERS = {1: ("one", "1"), 2: ("two", "2"), 3: ("three", "3"), 4: ("four", "4")}
PLURALS = {s: "crosses" if s == "cross" else s + "s" for s in SHAPES}
SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
BETWEEN = {
    "left": ("to the left of", "left of"),
    "right": ("to the right of", "right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
MEDIA = ("picture", "image", "drawing")
ODD = ("odd", "strange", "unusual", "surreal")
ART = (
    "flat vector art", "minimal", "icon", "simple shapes", "clean design", "digital art",
    "high quality", "poster",
)  # fmt: skip
# Words of the templates in `captions` that no list above holds.
GLUE = (
    "a", "an", "and", "at", "background", "bottom", "can", "exactly", "group", "here", "imagine",
    "in", "is", "also", "it", "left", "of", "on", "right", "see", "shows", "the", "there", "this",
    "to", "top", "we", "with", "are", ".", ",", ":",
)  # fmt: skip
MAX_WORDS = 44  # 46 tokens with the two that mark begin and end

_TOKEN = re.compile(r"[a-z]+|[0-9]|[^\sa-z0-9]")


def split(text: str) -> tuple[str, ...]:
    """The words of a text as the tokenizer sees them: lower case, punctuation on its own."""
    return tuple(_TOKEN.findall(text.lower()))


def _vocabulary() -> frozenset[str]:
    phrases = [*COLORS, *SHAPES, *PLURALS.values(), *BACKGROUNDS, *MEDIA, *ODD, *ART, *GLUE]
    for table in (NUMBERS, SIZE_WORDS, BETWEEN):
        phrases += [phrase for several in table.values() for phrase in several]
    return frozenset(word for phrase in phrases for word in split(phrase))


VOCABULARY = _vocabulary()


def unknown_words(text: str) -> tuple[str, ...]:
    """The words of a text that the world's models never saw, in order."""
    return tuple(word for word in split(text) if word not in VOCABULARY)


def in_vocabulary(text: str) -> bool:
    """Whether every word of a text is one that the world's models know."""
    return not unknown_words(text)


def fits(text: str) -> bool:
    """Whether a text is within the models' 46 tokens, begin and end marks included."""
    return len(split(text)) <= MAX_WORDS


def article(phrase: str) -> str:
    """`phrase` with "a" or "an" before it."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def bare(group: Group, rng: Random, with_size: bool = True) -> str:
    """A group without its number: "small red circles"."""
    size = rng.choice(SIZE_WORDS[group.size]) if group.size and with_size else ""
    noun = group.shape if group.count == 1 else PLURALS[group.shape]
    return " ".join(word for word in (size, group.color or "", noun) if word)


def phrase(group: Group, rng: Random, counted: bool = False) -> str:
    """A group with its number or article: "three red circles", "an orange star"."""
    if group.count == 1 and not counted:
        return article(bare(group, rng))
    return f"{NUMBERS[group.count][0]} {bare(group, rng)}"


def listing(phrases: list[str]) -> str:
    """ "a", "a and b", "a , b and c"."""
    return " and ".join([" , ".join(phrases[:-1]), phrases[-1]] if phrases[1:] else phrases)


def body(spec: Spec, rng: Random, counted: bool = False) -> str:
    """The groups of a spec in one phrase, joined by a relation where it has one."""
    parts = [phrase(g, rng, counted) for g in spec.groups]
    if not spec.relations:
        rng.shuffle(parts)
        return listing(parts)
    link = spec.relations[0]
    text = f"{parts[link.first]} {rng.choice(BETWEEN[link.where])} {parts[link.second]}"
    rest = [p for i, p in enumerate(parts) if i not in (link.first, link.second)]
    return f"{text} and {listing(rest)}" if rest else text

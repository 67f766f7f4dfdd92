"""Noun phrases of T2I-CompBench's prompts without a parser.

Most prompts of its colour, shape and texture parts follow one template, `a green bench and a blue bowl`; the rest are
plain sentences. Phrases are what is left between prepositions, verbs, commas and `and`:

- A determiner begins a phrase; a word right before one is the verb of the sentence (`... bookends hold the ...`).
- `and` after a colour joins two colours (`yellow and white floor tiles`); elsewhere it parts two phrases.

On the 900 validation prompts 88 % get the same phrases as from spaCy's en_core_web_sm 3.8. Where they differ spaCy is
often wrong itself (it finds one phrase in `a blue rose and a green tulip`). So results name who found them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SKIPPED = ("top", "the side", "the left", "the right")
"""Phrases that are no question (T2I-CompBench, BLIPvqa_eval/BLIP_vqa.py)."""

MOST = 8
"""Phrases asked at most (its `--np_num`)."""

_DETERMINER_WORDS = "a an the his her its their my your our this that these those some any each every"
_COLOUR_WORDS = "red orange yellow green blue purple pink brown black white gray grey gold golden silver beige tan"
_BREAK_WORDS = """
    about above across against along among around as at atop before behind below beneath beside between beyond by down
    for from in inside into near next of off on onto out outside over past through to toward towards under up upon with
    within without while where when who which whose if but or nor
    is are was were be been being has have had do does did could will would should may might must
    sits sitting stands standing lies lying rests resting hangs hanging hung holds holding wears wearing features parked
    it he she they them him there here both together not very
"""
DETERMINERS = frozenset(_DETERMINER_WORDS.split())
COLOURS = frozenset(_COLOUR_WORDS.split())
BREAKS = frozenset(_BREAK_WORDS.split())
"""Words that end a phrase: prepositions, common verbs, pronouns."""
_TOKEN = re.compile(r"\w+(?:[-'’]\w+)*|[^\w\s]")


def template_phrases(text: str) -> list[str]:
    """The noun phrases of a prompt, in order, in its own spelling."""
    found = [" ".join(words) for words in _chunks(_TOKEN.findall(text)) if not _empty(words)]
    return found or [text.strip().rstrip(".")]


def asked(phrases: list[str]) -> list[str]:
    """Those that T2I-CompBench asks about: not on its list of skipped ones, at most eight."""
    return [phrase for phrase in phrases if phrase not in SKIPPED][:MOST]


def _chunks(tokens: list[str]) -> Iterator[list[str]]:
    current: list[str] = []
    for index, token in enumerate(tokens):
        word = token.lower()
        if word == "and" and _joins(current, tokens[index + 1 :]):
            current.append(token)
        elif word == "and" or word in BREAKS or not word[0].isalnum():
            yield current
            current = []
        elif word in DETERMINERS:
            yield current[:-1] if len(current) > 1 else []
            current = [token]
        else:
            current.append(token)
    yield current


def _joins(left: list[str], right: list[str]) -> bool:
    """`and` between two colours of one thing: `white and yellow clock`."""
    return bool(left and right) and left[-1].lower() in COLOURS and right[0].lower() in COLOURS


def _empty(words: list[str]) -> bool:
    return not words or all(word.lower() in DETERMINERS for word in words)

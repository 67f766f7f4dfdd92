"""Prompts of web interfaces without their syntax: weights, networks, schedules. Plain functions of text."""

from __future__ import annotations

import re

# What CLIP's tokenizer splits at before it looks for longer pieces: so a count of these is a lower bound.
_PIECE = re.compile(r"[^\W\d_]+|\d|[^\s\w]+|_")
MARKS = 2  # begin and end of a text

_NETWORK = re.compile(r"<[^<>]*:[^<>]*>")
_SCHEDULE = re.compile(r"\[([^\[\]:|]*):([^\[\]:|]*):\s*[\d.]+\s*\]")
_TURNS = re.compile(r"\[([^\[\]|]*)\|[^\[\]]*\]")
_WEIGHT = re.compile(r"\(([^()]*?):\s*[-+]?[\d.]+\s*\)")
_KEYWORD = re.compile(r"\b(?:BREAK|AND)\b")
_BRACKET = re.compile(r"[()\[\]{}]")
_ESCAPED = {r"\(": "\ue000", r"\)": "\ue001"}


def clean(text: str) -> str:
    """The words of a prompt: `(masterpiece:1.2), <lora:x:0.5> [cat:dog:0.5]` gives `masterpiece, dog`.

    Of a schedule the later text stays, of alternating texts the first. Parentheses written `\\(` stay.
    """
    for written, kept in _ESCAPED.items():
        text = text.replace(written, kept)
    text = _NETWORK.sub("", text)
    before = ""
    while before != text:  # they nest
        before = text
        text = _SCHEDULE.sub(r"\2", text)
        text = _TURNS.sub(r"\1", text)
        text = _WEIGHT.sub(r"\1", text)
    text = _BRACKET.sub("", _KEYWORD.sub(",", text))
    for written, kept in _ESCAPED.items():
        text = text.replace(kept, written[1:])
    phrases = (" ".join(phrase.split()) for phrase in text.split(","))
    return ", ".join(phrase for phrase in phrases if phrase)


def shorten(text: str, tokens: int) -> str:
    """The first phrases (between commas) that fit into so many tokens, of the first one its first words.

    Tokens are counted as CLIP's tokenizer splits a text at first, with the two marks; 0 = the text as it is.
    """
    room = tokens - MARKS
    if not tokens or _count(text) <= room:
        return text
    kept = ""
    for phrase in text.split(","):
        longer = f"{kept},{phrase}" if kept else phrase
        if _count(longer) > room:
            break
        kept = longer
    return kept.strip() or _first_words(text, room)


def _first_words(text: str, room: int) -> str:
    words = text.split()
    while len(words) > 1 and _count(" ".join(words)) > room:
        words.pop()
    return " ".join(words)


def _count(text: str) -> int:
    return len(_PIECE.findall(text))

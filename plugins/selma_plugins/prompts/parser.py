"""Lists of prompts in the reply of a language model, whatever form it chose."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import attrs

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n]*\n(.*?)(?:^[ \t]*(?:```|~~~)|\Z)", re.S | re.M)
_NUMBER = re.compile(
    r"^\s*(?:[*_]{1,2})?[(\[#]?(\d{1,4})(?:[*_]{1,2})?[.):\]](?:[*_]{1,2})?(?:\s+|(?=[\"'“*_A-Za-z])|$)(.*)$"
)
_BULLET = re.compile(r"^\s*[-*+•◦‣–—·](?:\s+|$)(.*)$")
_INLINE = re.compile(r"(?:^|(?<=\s))[(\[]?(\d{1,4})[.)\]]\s+")
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "`": "`", "«": "»"}
_KEYS = ("prompt", "description", "caption", "text")
_WRAPPED = 60  # a line at least this long may have been broken to fit a width


@attrs.define
class _Item:
    """An entry being read: its number (None for bullets), its lines, and whether an empty line closed it."""

    number: int | None
    lines: list[str]
    closed: bool = False


def parse_list(reply: str, first: int = 1, truncated: bool = False) -> list[str]:
    """The entries of a list: numbered, bulleted, JSON, or one a line; in order, without marks and outer quotes.

    Args:
        reply: what the model said.
        first: the number at which the request broke off: a reply that goes straight on does not repeat it.
        truncated: the reply was cut, so its last entry is incomplete and is dropped (a JSON array that still
            closes is complete).
    """
    text = _fenced(reply.replace("\r\n", "\n").replace("\r", "\n"))
    found = _json(text)
    if found is None:
        found = _lines(text, first)
        if truncated and found:
            found = found[:-1]
    return [entry for entry in map(clean, found) if entry]


def parse_released(reply: str, first: int) -> list[str]:
    """What the paper's released code keeps: lines that hold the next expected number, "4. " after three examples.

    Other forms of list are lost, a missing number loses the rest, and an entry that holds the mark again is cut there.
    """
    kept: list[str] = []
    for line in reply.split("\n"):
        mark = f"{first + len(kept)}. "
        if mark in line:
            kept.append(line.split(mark)[1])
    return kept


def clean(entry: str) -> str:
    """One entry without outer blanks, emphasis marks and quotes, on one line."""
    text = " ".join(entry.encode("utf-8", "replace").decode("utf-8").split())
    text = re.sub(r"\*\*|__", "", text).strip()
    for mark in ("*", "_"):
        if len(text) > 1 and text[0] == text[-1] == mark:
            text = text[1:-1].strip()
    bare = text.rstrip(",;")
    if len(bare) > 1 and _QUOTES.get(bare[0]) == bare[-1] and bare[-1] not in bare[1:-1]:
        return bare[1:-1].strip()
    return text


def _fenced(text: str) -> str:
    """What stands in code fences, where there are any."""
    blocks = [block for block in _FENCE.findall(text) if block.strip()]
    return "\n".join(blocks) if blocks else text


def _json(text: str) -> list[str] | None:
    """The strings of a JSON array, also of one inside an object or one that breaks off; None without one."""
    start = text.find("[")
    brace = text.find("{")
    if 0 <= brace < (start if start >= 0 else len(text)):
        start = brace
    if start < 0 or text[start + 1 :].lstrip()[:1] not in ('"', "{", "[") or _items(text[:start], numbers=True):
        return None
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(text[start:])
        return _strings(value) or None
    except RecursionError:  # nothing but brackets
        return None
    except ValueError:
        return _broken_array(text[text.find("[", start) + 1 :]) if "[" in text[start:] else None


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for entry in value for text in _strings(entry)]
    if isinstance(value, dict):
        named = [value[key] for key in _KEYS if isinstance(value.get(key), str)]
        return named[:1] or [text for entry in value.values() if not isinstance(entry, str) for text in _strings(entry)]
    return []


def _broken_array(text: str) -> list[str] | None:
    """The whole elements at the start of an array that does not end."""
    decoder, found = json.JSONDecoder(strict=False), list[str]()
    while text := text.lstrip(" \t\n,"):
        try:
            value, end = decoder.raw_decode(text)
        except (ValueError, RecursionError):
            break
        found += _strings(value)
        text = text[end:]
    return found or None


def _lines(text: str, first: int) -> list[str]:
    numbered = _items(text, numbers=True)
    if numbered:
        head, items = numbered
        goes_on = [" ".join(head)] if head and items[0].number == first + 1 else []
        one_line = _inline(items[0]) if len(items) == 1 else None
        return goes_on + (one_line or _texts(items))
    bullets = _items(text, numbers=False)
    if bullets:
        return _texts(bullets[1])
    plain = [line.strip() for line in text.split("\n") if line.strip()]
    inline = _split_inline(text.strip(), first + 1) if len(plain) == 1 else None
    if inline:
        return inline
    return [line for line in plain if len(plain) == 1 or not line.endswith(":")]


def _items(text: str, numbers: bool) -> tuple[list[str], list[_Item]] | None:
    """(lines before the first entry, entries) of a list with marks; None when no line has one."""
    head, items = list[str](), list[_Item]()
    for line in text.split("\n"):
        match = (_NUMBER if numbers else _BULLET).match(line)
        if match:
            items.append(_Item(int(match[1]) if numbers else None, [match[2] if numbers else match[1]]))
        elif not items:
            head += [line.strip()] if line.strip() else []
        elif line.strip():
            _continue(items[-1], line)
        else:
            items[-1].closed = any(part.strip() for part in items[-1].lines)
    if items:
        items[-1].lines = _without_chatter(items[-1].lines)
    return (head, items) if items else None


def _continue(item: _Item, line: str) -> None:
    if not item.closed:
        item.lines.append(line)


def _without_chatter(lines: Sequence[str]) -> list[str]:
    """The last entry's lines up to where the model begins to talk: "5. a dog", "Hope this helps!"."""
    kept = [lines[0]]
    for before, line in pairwise(lines):
        wrapped = len(before.strip()) >= _WRAPPED or not before.strip()
        if not (line[:1].isspace() or wrapped or line[:1].islower()):
            break
        kept.append(line)
    return kept


def _texts(items: Sequence[_Item]) -> list[str]:
    return [" ".join(line.strip() for line in item.lines) for item in items]


def _inline(item: _Item) -> list[str] | None:
    """Entries of a whole list written on one line: "1. a cat 2. a dog 3. a bird"."""
    number = item.number if item.number is not None else 0
    return _split_inline(" ".join(_texts([item])), number + 1)


def _split_inline(text: str, following: int) -> list[str] | None:
    """The parts between consecutive numbers from `following` on; None for fewer than two, which may be chance."""
    cuts = [0]
    ends: list[int] = []
    for match in _INLINE.finditer(text):
        if int(match[1]) == following + len(ends):
            ends.append(match.start())
            cuts.append(match.end())
    if len(ends) < 2:
        return None
    return [text[start:end] for start, end in zip(cuts, [*ends, len(text)], strict=True)]

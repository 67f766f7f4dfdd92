"""The reply lines of the three calls: `id | tuple`, `id | question`, `id | parent ids`. No reply makes these raise.

Source of the form: j-min/DSG, dsg/parse_utils.py, which raises at a line without an id. Here such a line costs only
itself, and is named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from selma_plugins.evaluation.writing.few_shot import after_output

_ID = re.compile(r"[(\[#*\-\s]*([0-9]+)[)\].:\s]*")
_NUMBER = re.compile(r"[0-9]+")
_TUPLE = re.compile(r"([A-Za-z]+)\s*-\s*([^()]*?)\s*\(.*\)?")
_BROAD = ("entity", "attribute", "relation", "global", "other")
_SHOWN = 60
ROOT = "0"


@attrs.frozen
class Lines:
    """Attributes: fields = id -> what stands after the bar, in order; complaints = one line for each skipped one."""

    fields: Mapping[str, str]
    complaints: tuple[str, ...] = ()


def read_lines(reply: str) -> Lines:
    """The lines with an id, exactly one bar, and something after it; the first of an id counts."""
    fields: dict[str, str] = {}
    complaints = []
    for line in after_output(reply):
        problem = _take(line, fields)
        if problem:
            complaints.append(f"line {line[:_SHOWN]!r}: {problem}, skipped")
    return Lines(fields, tuple(complaints))


def _take(line: str, fields: dict[str, str]) -> str:
    head, bar, rest = line.partition("|")
    found = _ID.fullmatch(head)
    if not bar or "|" in rest:
        return "must have exactly one |"
    if not found:
        return "has no id"
    key = found[1].lstrip("0")
    if not key:
        return "has the id 0, which stands for no parent"
    if key in fields:
        return f"the id {key} is taken"
    if not rest.strip():
        return "says nothing"
    fields[key] = rest.strip()
    return ""


def read_parents(fields: Mapping[str, str], ids: Mapping[str, object]) -> tuple[dict[str, str], list[str]]:
    """Question id -> dependency field of the benchmark's form (`2,3`; `0` = none), and what had to be dropped.

    Args:
        fields: id -> parent ids as the model wrote them. ids: the questions, in order; the result has just these.

    Dropped are pieces that are no number, `0` beside other parents, unknown ids, the question's own id, and any
    parent that would close a cycle: every question can be asked after those it depends on.
    """
    parents: dict[str, list[str]] = {key: [] for key in ids}
    complaints = []
    for key in ids:
        for piece in fields.get(key, ROOT).split(","):
            number = piece.strip()
            bare = number.lstrip("0") or ROOT
            problem = "not a number" if not _NUMBER.fullmatch(number) else _refusal(key, bare, parents)
            if problem:
                complaints.append(f"question {key} depends on {number[:_SHOWN]!r}: {problem}, dropped")
            elif bare != ROOT and bare not in parents[key]:
                parents[key].append(bare)
    return {key: ",".join(found) or ROOT for key, found in parents.items()}, complaints


def _refusal(key: str, parent: str, parents: Mapping[str, list[str]]) -> str:
    if parent == ROOT:
        return ""
    if parent == key:
        return "itself"
    if parent not in parents:
        return "no such question"
    return "it depends on this one already" if _reaches(parent, key, parents) else ""


def _reaches(start: str, goal: str, parents: Mapping[str, list[str]]) -> bool:
    seen, waiting = {start}, [start]
    while waiting:
        for parent in parents[waiting.pop()]:
            if parent == goal:
                return True
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return False


def category_of(text: str) -> tuple[str, str]:
    """(broad, detailed) of a tuple such as `attribute - color (cat, red)`; `other`, `-` where it is of no such form."""
    found = _TUPLE.fullmatch(text)
    if not found or found[1].lower() not in _BROAD:
        return "other", "-"
    return found[1].lower(), found[2].strip(" -").lower() or "-"

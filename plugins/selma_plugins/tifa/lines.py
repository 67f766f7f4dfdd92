"""The reply lines `type | element | question | choice; choice | answer`. No reply makes the parser raise.

It reads from the first line on. The parser released with TIFA's open question generator begins at the seventh line of
a reply, and loses the first question of every caption.
"""

from __future__ import annotations

import re

import attrs

from selma_plugins.evaluation.writing.few_shot import after_output
from selma_plugins.tifa.cases import TYPES
from selma_plugins.tifa.choosing import literal_choice

_MARK = re.compile(r"^(?:[0-9]+[.)]|[-*])\s+")
_FIELDS = 5
_SHOWN = 60


@attrs.frozen
class Written:
    """One question as it was written; `answer` is one of the choices."""

    element_type: str
    element: str
    question: str
    choices: tuple[str, ...]
    answer: str


@attrs.frozen
class Reply:
    """Attributes: questions = in order; complaints = one line for each line that was skipped or mended."""

    questions: tuple[Written, ...]
    complaints: tuple[str, ...] = ()


def read_questions(reply: str) -> Reply:
    """Every line with five fields, two different choices at least, and an answer among them."""
    found: list[Written] = []
    complaints = []
    for line in after_output(reply):
        one, problem = _read(_MARK.sub("", line))
        if problem:
            complaints.append(f"line {line[:_SHOWN]!r}: {problem}")
        if one is not None:
            found.append(one)
    return Reply(tuple(found), tuple(complaints))


def _read(line: str) -> tuple[Written | None, str]:
    fields = [field.strip() for field in line.strip("|").split("|")]
    if len(fields) != _FIELDS:
        return None, f"has {len(fields)} fields instead of {_FIELDS}, skipped"
    kind, element, question, listed, said = fields
    choices = tuple(dict.fromkeys(filter(None, (choice.strip() for choice in _split(listed)))))
    answer = literal_choice(said, choices)
    if not question:
        return None, "asks nothing, skipped"
    if len(choices) < 2:
        return None, "needs two choices at least, skipped"
    if answer is None:
        return None, f"the answer {said[:_SHOWN]!r} is none of the choices, skipped"
    known = kind.lower() in TYPES
    written = Written(kind.lower() if known else "other", element, question, choices, answer)
    return written, "" if known else f"there is no type {kind[:_SHOWN]!r}, taken as 'other'"


def _split(listed: str) -> list[str]:
    return listed.split(";") if ";" in listed else listed.split(",")

"""From a DSG question's dependency field ("2,3"; "0" = none) to the questions it depends on: three readings.

Each takes one prompt's fields, question id -> field, in file order, and gives question id -> parent ids.
"""

from __future__ import annotations

from collections.abc import Mapping

Fields = Mapping[str, str]
Parents = dict[str, tuple[str, ...]]

_ROOT = "0"


def official_parents(fields: Fields) -> Parents:
    """The official loader's reading: one piece that is not an integer drops the graph of the whole prompt."""
    try:
        numbers = {key: [int(piece) for piece in field.split(",")] for key, field in fields.items()}
    except ValueError:
        return dict.fromkeys(fields, ())
    return {key: tuple(str(n) for n in found if str(n) in fields) for key, found in numbers.items()}


def raw_parents(fields: Fields) -> Parents:
    """SELMA's script: pieces are compared as they stand, so " 1" and " right" match nothing."""
    return {key: tuple(piece for piece in field.split(",") if piece in fields) for key, field in fields.items()}


def tolerant_parents(fields: Fields) -> Parents:
    """Every usable piece counts: blanks are trimmed; unknown ids, words and self-references are dropped."""
    return {
        key: tuple(p for p in map(str.strip, field.split(",")) if p in fields and p != key)
        for key, field in fields.items()
    }


def complaints(fields: Fields) -> list[str]:
    """One line for each piece that the tolerant reading had to trim or drop."""
    found = []
    for key, field in fields.items():
        for piece in field.split(","):
            problem = _problem(key, piece, fields)
            if problem:
                found.append(f"question {key} depends on {piece!r}: {problem}")
    return found


def _problem(key: str, piece: str, fields: Fields) -> str:
    bare = piece.strip()
    if bare == key:
        return "itself, dropped"
    if bare not in fields and bare != _ROOT:
        return "no such question, dropped" if bare.isdigit() else "not a number, dropped"
    return "padded with blanks, trimmed" if bare != piece else ""

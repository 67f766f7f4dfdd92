"""Axes: the names that `foreach` runs over, each with its values and what a value lays over the stages.

An axis of rounds, `{repeat: 3}`, has the values 1, 2, 3. In its nodes `{round-1}` is the round before, anywhere
`{round.last}` is the last one. So a loop is an axis, and its rounds are ordinary nodes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

import attrs

from selma_core.graph.problems import Problems

_NAMED = re.compile(r"\{([A-Za-z_]\w*)(?:([+-]\d+)|\.(last))?\}")
_FORBIDDEN = re.compile(r"[\[\],{}\s/]")

Overlay = Mapping[str, Any]


@attrs.frozen
class AxisValue:
    """One value of an axis.

    Attributes:
        value: what `{axis}` stands for. overlay: stage label -> what is laid over its slot.
        last: the last round, for a value of an axis of rounds; else None.
    """

    value: Any
    overlay: Overlay
    last: int | None = None

    @property
    def text(self) -> str:
        """As it is written in node ids."""
        return str(self.value)


@attrs.frozen
class Round:
    """A round, as `substitute` gets it: with its number, and how many there are."""

    number: int
    last: int

    def __str__(self) -> str:
        return str(self.number)


def is_repeat(axis: Any) -> bool:
    """Whether an axis is written as rounds: `{repeat: 3}`."""
    return isinstance(axis, Mapping) and "repeat" in axis


def named_axes(text: str, known: Mapping[str, Any]) -> list[str]:
    """The axes that a string names in braces for their value, in order; other braces are none of ours."""
    return [found[1] for found in _NAMED.finditer(text) if found[1] in known and not found[3]]


def shifted_axes(text: str) -> list[tuple[str, int]]:
    """What a string names of other rounds: `{round-1}` gives (round, -1)."""
    return [(found[1], int(found[2])) for found in _NAMED.finditer(text) if found[2]]


def last_named(text: str) -> list[str]:
    """The axes whose last round a string names: `{round.last}`."""
    return [found[1] for found in _NAMED.finditer(text) if found[3]]


def rounds_before(text: str, names: Mapping[str, Any]) -> list[str]:
    """The axes of rounds of which a string names one before the first."""
    shifts = [(axis, shift) for axis, shift in shifted_axes(text) if isinstance(names.get(axis), Round)]
    return [axis for axis, shift in shifts if names[axis].number + shift < 1]


def substitute(value: Any, names: Mapping[str, Any]) -> Any:
    """Replaces `{axis}` in every string of a tree. A string that is nothing else becomes the value itself.

    Args: names = axis -> value; a `Round` for an axis of rounds, so that `{axis-1}` and `{axis.last}` mean something.
    """
    if isinstance(value, str):
        whole = _NAMED.fullmatch(value)
        if whole:
            return _named_value(whole, names)
        return _NAMED.sub(lambda found: str(_named_value(found, names)), value)
    if isinstance(value, Mapping):
        return {key: substitute(entry, names) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [substitute(entry, names) for entry in value]
    return value


def _named_value(found: re.Match[str], names: Mapping[str, Any]) -> Any:
    value = names.get(found[1], found[0])
    if not isinstance(value, Round):
        return found[0] if found[2] or found[3] else value
    if found[3]:
        return value.last
    return value.number + int(found[2] or 0)


def last_rounds(axes: Mapping[str, Any]) -> dict[str, Round]:
    """The last round of every axis of rounds, as written in a recipe."""
    return {name: Round(axis["repeat"], axis["repeat"]) for name, axis in axes.items() if is_repeat(axis)}


def expand_axes(axes: Mapping[str, Any], problems: Problems) -> dict[str, tuple[AxisValue, ...]]:
    """The values of every axis; a value that names another axis becomes one value for each of that axis' values."""
    found: dict[str, tuple[AxisValue, ...]] = {}
    for name in axes:
        _expand(name, axes, found, (), problems)
    return {name: found.get(name, ()) for name in axes}


def _expand(
    name: str,
    axes: Mapping[str, Any],
    found: dict[str, tuple[AxisValue, ...]],
    above: tuple[str, ...],
    problems: Problems,
) -> tuple[AxisValue, ...]:
    if name in found:
        return found[name]
    if name in above:
        problems.add(f"axes.{name}", f"names itself by way of {' -> '.join([*above, name])}")
        return ()
    values: list[AxisValue] = []
    last = axes[name]["repeat"] if is_repeat(axes[name]) else None
    for raw, overlay in _declared(axes[name]):
        wanted = named_axes(raw, axes) if isinstance(raw, str) else []
        choices = [_expand(other, axes, found, (*above, name), problems) for other in dict.fromkeys(wanted)]
        for choice in itertools.product(*choices):
            names = {other: stands_for(chosen) for other, chosen in zip(dict.fromkeys(wanted), choice, strict=True)}
            values.append(AxisValue(substitute(raw, names), substitute(overlay, names), last))
    found[name] = _checked(name, values, problems)
    return found[name]


def stands_for(value: AxisValue) -> Any:
    """What `substitute` puts in the place of an axis of this value."""
    return value.value if value.last is None else Round(value.value, value.last)


def _declared(axis: Any) -> list[tuple[Any, Overlay]]:
    if is_repeat(axis):
        return [(number, axis.get("first") or {} if number == 1 else {}) for number in range(1, axis["repeat"] + 1)]
    if isinstance(axis, Mapping):
        return [(value, overlay or {}) for value, overlay in axis.items()]
    return [(value, {}) for value in axis]


def _checked(name: str, values: list[AxisValue], problems: Problems) -> tuple[AxisValue, ...]:
    texts: set[str] = set()
    for value in values:
        if not value.text or _FORBIDDEN.search(value.text):
            problems.add(f"axes.{name}", f"the value '{value.text}' is empty or holds a blank or one of [ ] {{ }} , /")
        elif value.text in texts:
            problems.add(f"axes.{name}", f"the value '{value.text}' occurs twice")
        texts.add(value.text)
    return tuple(values)


def check_overlays(
    axes: Mapping[str, tuple[AxisValue, ...]], foreach: Mapping[str, tuple[str, ...]], problems: Problems
) -> None:
    """Every overlay must be laid over a stage that runs over its axis. `foreach`: label -> its axes."""
    for name, values in axes.items():
        for value in values:
            for target in value.overlay:
                label = target.partition("[")[0]
                if name not in foreach[label]:
                    path = f"axes.{name}.{value.text if value.last is None else 'first'}.{target}"
                    problems.add(path, f"stage '{label}' does not run over '{name}'; add it to its foreach")

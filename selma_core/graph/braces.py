"""What a slot may name in braces: values of the axes it runs over, rounds before its own, the last round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from selma_core.errors import did_you_mean
from selma_core.graph.axes import AxisValue, last_named, named_axes, rounds_before, shifted_axes
from selma_core.graph.problems import Problems


def check_braces(
    path: str,
    slot: Any,
    axes: Mapping[str, tuple[AxisValue, ...]],
    values: Mapping[str, AxisValue],
    problems: Problems,
) -> None:
    """Notes what has no value in a node. Args: slot = what it writes; values = of the axes it runs over."""
    for place, text in _texts(path, slot):
        for axis in named_axes(text, {name: found for name, found in axes.items() if name not in values}):
            problems.add(place, f"'{{{axis}}}' has no value here: the stage does not run over '{axis}'")
        for axis, shift in shifted_axes(text):
            _check_shift(place, axis, shift, axes, problems)
        for axis in last_named(text):
            if axis in axes and not _is_rounds(axes[axis]):
                problems.add(place, f"'{{{axis}.last}}' needs an axis of rounds; write axes.{axis}: {{repeat: 3}}")


def drop_before_first(ports: Mapping[str, Any], names: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Ports without what they would read of a round before the first, and those that then read nothing -> the axis."""
    kept: dict[str, Any] = {}
    opened: dict[str, str] = {}
    for port, written in ports.items():
        references = written if isinstance(written, list | tuple) else [written]
        early = [axis for one in references if isinstance(one, str) for axis in rounds_before(one, names)]
        left = [one for one in references if not (isinstance(one, str) and rounds_before(one, names))]
        kept[port] = (left or None) if early else written
        if early and not left:
            opened[port] = early[0]
    return kept, opened


def _check_shift(
    place: str, axis: str, shift: int, axes: Mapping[str, tuple[AxisValue, ...]], problems: Problems
) -> None:
    named = f"'{{{axis}{shift:+d}}}'"
    if axis not in axes and ".from." in f"{place}.":  # other texts may hold braces of their own
        problems.add(place, f"there is no axis '{axis}' for {named}", did_you_mean(axis, axes))
    elif axis in axes and not _is_rounds(axes[axis]):
        problems.add(place, f"{named} needs an axis of rounds; write axes.{axis}: {{repeat: 3}}")
    elif axis in axes and shift >= 0:
        problems.add(place, f"{named} names a round that is not before this one; write {{{axis}-1}}")


def _is_rounds(values: tuple[AxisValue, ...]) -> bool:
    return any(value.last is not None for value in values)


def _texts(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _texts(f"{path}.{key}", entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _texts(path, entry)

"""Axes: the names that `foreach` runs over, each with its values and what a value lays over the stages."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

import attrs

from selma_core.graph.problems import Problems

_NAMED = re.compile(r"\{([A-Za-z_]\w*)\}")
_FORBIDDEN = re.compile(r"[\[\],{}\s/]")

Overlay = Mapping[str, Any]


@attrs.frozen
class AxisValue:
    """One value of an axis.

    Attributes:
        value: what `{axis}` stands for. overlay: stage label -> what is laid over its slot.
    """

    value: Any
    overlay: Overlay

    @property
    def text(self) -> str:
        """As it is written in node ids."""
        return str(self.value)


def named_axes(text: str, known: Mapping[str, Any]) -> list[str]:
    """The axes that a string names in braces, in order; other braces are none of ours."""
    return [name for name in _NAMED.findall(text) if name in known]


def substitute(value: Any, names: Mapping[str, Any]) -> Any:
    """Replaces `{axis}` in every string of a tree. A string that is nothing else becomes the value itself."""
    if isinstance(value, str):
        whole = _NAMED.fullmatch(value)
        if whole and whole[1] in names:
            return names[whole[1]]
        return _NAMED.sub(lambda found: str(names.get(found[1], found[0])), value)
    if isinstance(value, Mapping):
        return {key: substitute(entry, names) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [substitute(entry, names) for entry in value]
    return value


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
    for raw, overlay in _declared(axes[name]):
        wanted = named_axes(raw, axes) if isinstance(raw, str) else []
        choices = [_expand(other, axes, found, (*above, name), problems) for other in dict.fromkeys(wanted)]
        for choice in itertools.product(*choices):
            names = {other: chosen.value for other, chosen in zip(dict.fromkeys(wanted), choice, strict=True)}
            values.append(AxisValue(substitute(raw, names), substitute(overlay, names)))
    found[name] = _checked(name, values, problems)
    return found[name]


def _declared(axis: Any) -> list[tuple[Any, Overlay]]:
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
                    path = f"axes.{name}.{value.text}.{target}"
                    problems.add(path, f"stage '{label}' does not run over '{name}'; add it to its foreach")

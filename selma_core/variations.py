"""From the values that settings are to take to named variants: all combinations, or one setting at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from selma_core.config.overrides import parse_override
from selma_core.errors import ConfigError, did_you_mean
from selma_core.yaml_files import read_value

GRIDS = ("full", "one")
"""`full`: every combination. `one`: the first values of all, then each other value alone."""

Vary = Mapping[str, Sequence[Any]]


def parse_vary(texts: Sequence[str]) -> dict[str, list[Any]]:
    """`a.b=1,2` -> {"a.b": [1, 2]}; the values are YAML, so lists may be among them.

    Raises:
        ConfigError: no such form, or a setting given twice.
    """
    found: dict[str, list[Any]] = {}
    for text in texts:
        path, equals, values = text.partition("=")
        if not equals or not values.strip():
            raise ConfigError(f"--vary '{text}': is written a.b.c=VALUE,VALUE, like stages.merge.use=linear,ties")
        keys, _ = parse_override(f"{path}=0")
        name = ".".join(keys)
        if name in found:
            raise ConfigError(f"--vary {name}: given twice; list all its values once")
        found[name] = _values(name, values)
    return found


def variants_of(vary: Vary, grid: str = "full") -> dict[str, dict[str, Any]]:
    """Name -> dotted path -> value, in the order of the settings, the last moving fastest.

    A variant is named by its values (`ties`, of several settings `merge=ties,rank=4`).

    Raises:
        ConfigError: a setting without values or with one twice, or no such grid.
    """
    if grid not in GRIDS:
        raise ConfigError(f"grid '{grid}': {did_you_mean(grid, GRIDS)}")
    for path, values in vary.items():
        if not values:
            raise ConfigError(f"vary.{path}: has no values")
        if len({_text(value) for value in values}) < len(values):
            raise ConfigError(f"vary.{path}: has a value twice: {', '.join(map(_text, values))}")
    names = _names(list(vary))
    return {_name(names, chosen): chosen for chosen in (_all(vary) if grid == "full" else _one_at_a_time(vary))}


def _all(vary: Vary) -> Iterator[dict[str, Any]]:
    for values in product(*vary.values()):
        yield dict(zip(vary, values, strict=True))


def _one_at_a_time(vary: Vary) -> Iterator[dict[str, Any]]:
    first = {path: values[0] for path, values in vary.items()}
    yield first
    for path, values in vary.items():
        for value in values[1:]:
            yield {**first, path: value}


def _values(path: str, text: str) -> list[Any]:
    try:
        found = read_value(f"[{text}]")
    except ConfigError as error:
        raise ConfigError(f"--vary {path}: {text!r} are no YAML values: {str(error).partition(': ')[2]}") from error
    return list(found)


def _names(paths: Sequence[str]) -> dict[str, str]:
    """Path -> short name: the stage for its plugin, else the option; with its stage where two would be equal."""
    short = {path: _short(path) for path in paths}
    twice = {name for name in short.values() if list(short.values()).count(name) > 1}
    return {path: _long(path) if name in twice else name for path, name in short.items()}


def _short(path: str) -> str:
    keys = path.split(".")
    return keys[-2] if keys[-1] == "use" and len(keys) > 1 else keys[-1]


def _long(path: str) -> str:
    return ".".join(key for key in path.split(".") if key not in ("stages", "options", "use"))


def _name(names: Mapping[str, str], chosen: Mapping[str, Any]) -> str:
    if len(chosen) == 1:
        return _text(next(iter(chosen.values())))
    return ",".join(f"{names[path]}={_text(value)}" for path, value in chosen.items())


def _text(value: Any) -> str:
    """A value as it stands in a name: short, without blanks or what a node's id is cut at."""
    if isinstance(value, Mapping):
        return "+".join(f"{key}={_text(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return "+".join(map(_text, value)) or "none"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return "".join("_" if sign in " :[],/" else sign for sign in text) or "empty"

"""YAML as plain data: no tags, no aliases, no duplicate keys, YAML 1.2 scalars, and the line of every value.

PyYAML's safe loader follows YAML 1.1, where `on` and `no` are booleans, `1e-4` is a text and `2024-01-01` a date.
Word lists and learning rates need none of these surprises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import yaml

from selma_core.errors import ConfigError

_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_KEPT = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")
_SCALARS = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", "-+.0123456789"),
)


class _Loader(_BASE):  # type: ignore[misc]
    """The safe loader with the scalars of YAML 1.2 and keys as they are written."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[str, Any]:
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


def _resolvers() -> dict[Any, list[tuple[str, re.Pattern[str]]]]:
    table: dict[Any, list[tuple[str, re.Pattern[str]]]] = {}
    for first, entries in _BASE.yaml_implicit_resolvers.items():
        table[first] = [entry for entry in entries if entry[0] in _KEPT]
    for name, pattern, firsts in _SCALARS:
        for first in firsts:
            table.setdefault(first, []).append((f"tag:yaml.org,2002:{name}", re.compile(f"^(?:{pattern})$")))
    return table


_Loader.yaml_implicit_resolvers = _resolvers()
_Loader.add_constructor("tag:yaml.org,2002:map", lambda loader, node: loader.construct_mapping(node, deep=True))


@attrs.frozen
class Document:
    """A YAML file. Attributes: data = plain values; lines = dotted path -> line number, from 1; file = its name."""

    data: dict[str, Any]
    lines: dict[str, int]
    file: str

    def where(self, path: str) -> str:
        """`file:line` of a dotted path, or of its nearest parent that is written down."""
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        return f"{self.file}:{self.lines[path]}" if path else self.file


def read_yaml(path: Path) -> Document:
    """Reads a file whose top level is a mapping.

    Raises:
        ConfigError: with file and line, when it cannot be read or is not such data.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    data, lines = _load(text, str(path))
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must hold a mapping (key: value), not a {type(data).__name__}")
    return Document(data, lines, path.name)


def read_value(text: str) -> Any:
    """One value as YAML writes it: `3`, `[a, b]`, `'quoted'`, `{a: 1}`.

    Raises:
        ConfigError: when it is not YAML.
    """
    return _load(text, "value")[0]


def _load(text: str, name: str) -> tuple[Any, dict[str, int]]:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, {}
        lines = dict(_walk(node, "", name, set()))
        return loader.construct_document(node), lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(f"{where}: {getattr(error, 'problem', None) or error}") from error
    finally:
        loader.dispose()


def _walk(node: yaml.Node, path: str, name: str, seen: set[int]) -> Iterator[tuple[str, int]]:
    if not isinstance(node, yaml.CollectionNode):
        return
    if id(node) in seen:
        raise ConfigError(f"{name}:{node.start_mark.line + 1}: aliases (*name) are not allowed; use `extends`")
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _walk(item, f"{path}.-", name, seen)
        return
    keys: set[str] = set()
    for key, value in node.value:
        where = f"{name}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{where}: a key must be a plain text")
        if key.value in keys:
            raise ConfigError(f"{where}: '{key.value}' is written twice")
        keys.add(key.value)
        child = f"{path}.{key.value}" if path else key.value
        yield child, key.start_mark.line + 1
        yield from _walk(value, child, name, seen)

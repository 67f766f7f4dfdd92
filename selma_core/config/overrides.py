"""`stages.merge.use=ties`: one value set on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from selma_core.config.layers import Layers
from selma_core.config.problems import COMMAND_LINE, raise_all, split
from selma_core.errors import ConfigError
from selma_core.yaml_files import read_value

_PLACEHOLDER = re.compile(r"^\{[A-Za-z_]\w*\}$")


def apply_overrides(layers: Layers, overrides: Sequence[str]) -> None:
    """Lays each `a.b=value` on top, in order.

    Raises:
        ConfigErrors: every one that is not of that form, or holds no YAML value.
    """
    raise_all(read_overrides(layers, overrides))


def read_overrides(layers: Layers, overrides: Sequence[str]) -> list[ConfigError]:
    """As `apply_overrides`, but leaves out what cannot be read and gives its errors back."""
    errors: list[ConfigError] = []
    for text in overrides:
        try:
            keys, value = parse_override(text)
        except ConfigError as error:
            errors.append(error)
            continue
        for key in reversed(keys):
            value = {key: value}
        layers.add(value, COMMAND_LINE)
    return errors


def parse_override(text: str) -> tuple[list[str], Any]:
    """`a.b[x].c=1` -> (["a", "b[x]", "c"], 1). The value is YAML; nothing after `=` is the empty text."""
    path, equals, value = text.partition("=")
    path = path.strip()
    keys = split(path)
    if not equals or not keys or ".".join(keys) != path:
        raise ConfigError(f"'{text}': an override is written a.b.c=value, like stages.merge.use=ties")
    return keys, _value(path, value.strip())


def _value(path: str, text: str) -> Any:
    # `{skill}` is an axis placeholder, although YAML would read a mapping with the key `skill`
    if not text or _PLACEHOLDER.match(text):
        return text
    try:
        return read_value(text)
    except ConfigError as error:
        if text[0] in "[{'\"":
            reason = str(error).partition(": ")[2]
            raise ConfigError(f"{path}: {text!r} is not a YAML value: {reason} (set on {COMMAND_LINE})") from error
        return text

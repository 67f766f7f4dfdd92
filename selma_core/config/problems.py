"""One wording for everything that can be wrong in a recipe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from selma_core.errors import ConfigError, ConfigErrors, did_you_mean

COMMAND_LINE = "the command line"
_BRACKETS = re.compile(r"\[[^\]]*\]")


def layer_of(path: str, origins: Mapping[str, str]) -> str | None:
    """The layer that set the value at `path`, or else a value below it, or else its nearest parent.

    `stages.expert[count].options.rank` that was not refined for the node comes from `stages.expert.options.rank`.
    """
    for wanted in dict.fromkeys((path, _BRACKETS.sub("", path))):
        below = next((layer for known, layer in origins.items() if known.startswith(f"{wanted}.")), None)
        if wanted not in origins and below is not None:
            return below
        parts = split(wanted)
        for length in range(len(parts), 0, -1):
            found = ".".join(parts[:length])
            if found in origins:
                return origins[found]
    return None


def config_error(path: str, message: str, origins: Mapping[str, str], hint: str = "") -> ConfigError:
    """`path: message (set by LAYER); hint`, each part left out when there is none."""
    layer = layer_of(path, origins)
    where = "" if layer is None else f" (set on {layer})" if layer == COMMAND_LINE else f" (set by {layer})"
    return ConfigError(f"{path}: {message}{where}{f'; {hint}' if hint else ''}")


def unknown(path: str, what: str, name: str, known: Iterable[str], origins: Mapping[str, str]) -> ConfigError:
    """`path: unknown WHAT (set by LAYER); did you mean 'x'?`"""
    return config_error(path, f"unknown {what}", origins, did_you_mean(name, known))


def raise_all(errors: Iterable[ConfigError]) -> None:
    """Raises all errors at once as `ConfigErrors`, without repetitions; nothing when there are none."""
    once = list({str(error): error for error in errors}.values())
    if once:
        raise ConfigErrors(once)


def split(path: str) -> list[str]:
    """The keys of a dotted path; a dot inside brackets belongs to the key: `a.b[x.y].c` -> a, b[x.y], c."""
    return re.findall(r"(?:\[[^\]]*\]|[^.\[])+", path)


def interpolations(value: Any, path: str) -> Iterable[tuple[str, str]]:
    """(path, text) of every string in `value` that holds `${`: recipes are data and read nothing from outside."""
    if isinstance(value, str) and "${" in value:
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from interpolations(item, f"{path}.{key}" if path else str(key))
            yield from ((found, text) for found, text in interpolations(str(key), path))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from interpolations(item, f"{path}[{index}]")

"""Collects every error of a recipe, so that the user sees all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from selma_core.config.problems import config_error, raise_all
from selma_core.errors import ConfigError


class Problems:
    """Errors found so far. Five nodes of one stage share their mistakes: `check` reports each line once."""

    def __init__(self, origins: Mapping[str, str]) -> None:
        self._origins = origins
        self._found: list[ConfigError] = []

    def add(self, path: str, text: str, hint: str = "") -> None:
        """Notes an error at a dotted path; the layer that set the value is named when it is known."""
        self._found.append(config_error(path, text, self._origins, hint))

    def extend(self, errors: Iterable[ConfigError]) -> None:
        """Notes the errors of a nested check."""
        self._found.extend(errors)

    def __len__(self) -> int:
        return len(self._found)

    def check(self) -> None:
        """Raises what was found.

        Raises:
            ConfigErrors: when there is anything.
        """
        raise_all(self._found)

"""The whole exception tree. A message is one line: what, where, the nearest right name, what to type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class SelmaError(Exception):
    """Base of every error raised on purpose; `exit_code` is what the CLI returns for it."""

    exit_code = 1


class UserError(SelmaError):
    """Something the user wrote is wrong; nothing has run and nothing is lost."""

    exit_code = 2


class UnknownNameError(UserError):
    """A name that nothing is registered under."""


class AmbiguousNameError(UserError):
    """A bare name that two distributions provide; `provider/name` resolves it."""


class ConfigError(UserError):
    """One wrong value in a recipe, with its whole dotted path and the layer that set it."""


class ConfigErrors(UserError):
    """Every `ConfigError` of one recipe, reported at once.

    Attributes:
        errors: the single errors, in recipe order.
    """

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in self.errors))


class GraphError(UserError):
    """A recipe whose stages do not form a graph: unknown label, cycle, wrong kind of input."""


class ModelError(UserError):
    """A model that cannot be had: missing folder, wrong digest, truncated file, not fetched yet."""


class MissingExtraError(UserError):
    """A plugin needs a package that is not installed; the message holds the command that installs it."""


class ArtifactError(UserError):
    """A file that is not what its format demands; the message names the file and the tensor or row."""


class PluginError(SelmaError):
    """A plugin that cannot be loaded (only raised under `SELMA_PLUGINS_STRICT=1` or when it is selected)."""


class StoreError(SelmaError):
    """The store cannot be written: disk full, no permission; the message names the path."""


class StageError(SelmaError):
    """A stage failed while it ran; what was finished stays in the store."""


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The known name closest to `name`, or None when nothing is close (difflib ratio below 0.6)."""
    found = get_close_matches(name, list(names), n=1)
    return found[0] if found else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A sentence end for an error line: the nearest name, else the list of known names."""
    known = sorted(names)
    close = nearest(name, known)
    if close is not None:
        return f"did you mean '{close}'?"
    return f"known: {', '.join(known)}" if known else "nothing is registered"

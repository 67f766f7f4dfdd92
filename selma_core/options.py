"""How a plugin declares its options: an attrs class whose fields carry a help text and what they mean.

@attrs.frozen
class MyOptions:
    rank: int = option(16, help="rank of the adapter", check=positive)
    batch_size: int = option(8, help="samples per step", changes_results=False)
    judge: Slot = component("chat_model", Slot("shapes_oracle"), help="who answers the questions")
    model: str = entry("models", help="registry name, folder, or hub id")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import attrs

META = "selma"


@attrs.frozen
class FieldInfo:
    """What the core knows of one option beyond its type.

    Attributes:
        help: one line for listings.
        changes_results: False keeps the value out of the fingerprint (batch size, workers, device).
        added: the option came after results were stored; at its default, which means what was before, it stays out of
            the fingerprint, so these remain.
        component: the kind of plugin that a `Slot` field names, else None.
        entry: the registry section (`models`, `skills`, `benchmarks`) that a `str` field names, else None.
    """

    help: str = ""
    changes_results: bool = True
    added: bool = False
    component: str | None = None
    entry: str | None = None


@attrs.define
class Slot:
    """A plugin picked by name with its options: `{use: openai, options: {model: gpt-4o}}`.

    Attributes:
        use: `name` or `provider/name`; empty means "none chosen".
        options: plain values, bound to the plugin's options class before anything runs.
    """

    use: str = ""
    options: dict[str, Any] = attrs.field(factory=dict)


@runtime_checkable
class Needing(Protocol):
    """An options class that knows what its plugin needs of the machine beyond registry entries, like a key.

    It is asked before a run starts, for the stages that have to run; never by `selma plan`.
    """

    def needs(self) -> Iterable[tuple[str, str]]:
        """(name of the option, one line that says what is missing and, after `; `, what to type); empty when ready."""


@runtime_checkable
class Reading(Protocol):
    """An options class that knows which optional ports its plugin needs a stage for, so that a plan can tell.

    It is asked of a stage's own options and of those of all that they name: a reward of a trainer may need a scorer.
    """

    def needed_ports(self) -> Mapping[str, str]:
        """Port -> why, as in "'PORT' is missing: WHY"."""


Check = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def option(
    default: Any = attrs.NOTHING,
    *,
    help: str = "",
    changes_results: bool = True,
    added: bool = False,
    check: Any = None,
) -> Any:
    """An attrs field for an ordinary value; mutable defaults are copied for every instance. See `FieldInfo`.

    Raises:
        ValueError: `added` without a default.
    """
    _check_added(added, default)
    return _field(default, FieldInfo(help=help, changes_results=changes_results, added=added), check)


def component(kind: str, default: Any = attrs.NOTHING, *, help: str = "") -> Any:
    """An attrs field of type `Slot` that names a plugin of `kind`; its options enter the fingerprint."""
    return _field(default, FieldInfo(help=help, component=kind), None)


def entry(section: str, default: Any = attrs.NOTHING, *, help: str = "", added: bool = False) -> Any:
    """An attrs field of type `str` (or `str | None`) that names a registry entry; its pin enters the fingerprint.

    Raises:
        ValueError: `added` without a default.
    """
    _check_added(added, default)
    return _field(default, FieldInfo(help=help, entry=section, added=added), None)


def info(field: attrs.Attribute[Any]) -> FieldInfo:
    """The `FieldInfo` of an attrs field; a field declared without these helpers has an empty one."""
    found = field.metadata.get(META)
    return found if isinstance(found, FieldInfo) else FieldInfo()


def positive(instance: Any, field: attrs.Attribute[Any], value: Any) -> None:
    """attrs validator: a number above zero."""
    if not value > 0:
        raise ValueError(f"must be above 0, not {value!r}")


def at_least(low: float) -> Check:
    """attrs validator: a number of at least `low`."""

    def check(instance: Any, field: attrs.Attribute[Any], value: Any) -> None:
        if value < low:
            raise ValueError(f"must be at least {low}, not {value!r}")

    return check


def between(low: float, high: float) -> Check:
    """attrs validator: a number within [low, high]."""

    def check(instance: Any, field: attrs.Attribute[Any], value: Any) -> None:
        if not low <= value <= high:
            raise ValueError(f"must be between {low} and {high}, not {value!r}")

    return check


def _check_added(added: bool, default: Any) -> None:
    if added and default is attrs.NOTHING:
        raise ValueError("an option that was added later needs a default: what was before it")


def _field(default: Any, meta: FieldInfo, check: Any) -> Any:
    arguments: dict[str, Any] = {"metadata": {META: meta}}
    if check is not None:
        arguments["validator"] = check
    if isinstance(default, list | dict | set | Slot):
        arguments["factory"] = lambda: _copy(default)
    elif default is not attrs.NOTHING:
        arguments["default"] = default
    return attrs.field(**arguments)


def _copy(value: Any) -> Any:
    if isinstance(value, Slot):
        return Slot(value.use, dict(value.options))
    if isinstance(value, Mapping):
        return dict(value)
    return type(value)(value)

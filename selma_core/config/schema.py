"""Options classes as schemas: which types a field may have, and how a type reads in an error or a listing."""

from __future__ import annotations

import enum
import types
import typing
from functools import cache
from pathlib import Path
from typing import Any

import attrs
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from selma_core.errors import PluginError, did_you_mean
from selma_core.kinds import BY_NAME
from selma_core.options import Slot, info

ENTRY_SECTIONS = ("models", "skills", "benchmarks", "recipes", "ablations", "files", "folders")
_WORDS: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "a text",
    Path: "a path",
    type(None): "null",
    Any: "anything",
    Slot: "a plugin {use, options}",
}


@cache
def field_types(cls: type) -> dict[str, Any]:
    """Field name -> its resolved type, for an attrs class."""
    return typing.get_type_hints(cls)


@cache
def check_options_class(cls: type) -> None:
    """Checks that values can be bound to every field.

    Raises:
        PluginError: naming the class, the field and what is wrong with it.
    """
    try:
        OmegaConf.structured(cls)
        hints = field_types(cls)
    except OmegaConfBaseException as error:
        field = f".{error.full_key}" if error.full_key else ""
        raise PluginError(f"options {cls.__name__}{field}: {str(error).splitlines()[0]}") from error
    except Exception as error:
        raise PluginError(f"options {cls.__name__}: {type(error).__name__}: {error}") from error
    for field in attrs.fields(cls):
        _check_field(cls, field, hints[field.name])


def _check_field(cls: type, field: attrs.Attribute[Any], hint: Any) -> None:
    meta = info(field)
    where = f"options {cls.__name__}.{field.name}"
    if meta.component is not None:
        if meta.component not in BY_NAME:
            raise PluginError(f"{where}: unknown kind '{meta.component}'; {did_you_mean(meta.component, BY_NAME)}")
        if not (is_slot(hint) or is_slot_mapping(hint)):
            raise PluginError(f"{where}: a component's type must be Slot, Slot | None or dict[str, Slot]")
    if meta.entry is not None and meta.entry not in ENTRY_SECTIONS:
        raise PluginError(f"{where}: unknown section '{meta.entry}'; {did_you_mean(meta.entry, ENTRY_SECTIONS)}")


def is_slot(hint: Any) -> bool:
    """Whether a field's type is `Slot` or `Slot | None`."""
    return without_none(hint) is Slot


def is_slot_mapping(hint: Any) -> bool:
    """Whether a field's type is `dict[str, Slot]`."""
    return typing.get_origin(hint) is dict and typing.get_args(hint)[1:] == (Slot,)


def is_optional(hint: Any) -> bool:
    """Whether a type takes None."""
    return hint is Any or hint is type(None) or type(None) in typing.get_args(hint)


def without_none(hint: Any) -> Any:
    """`X | None` -> `X`; anything else as it is."""
    members = [member for member in typing.get_args(hint) if member is not type(None)]
    return members[0] if _is_union(hint) and len(members) == 1 else hint


def nested_class(hint: Any) -> type | None:
    """The attrs class (not `Slot`) that a field of type `X` or `X | None` holds, else None."""
    cls = without_none(hint)
    return cls if isinstance(cls, type) and attrs.has(cls) and cls is not Slot else None


def describe(hint: Any) -> str:
    """A type in words: `an integer`, `a list of texts`, `one of 'a', 'b'`."""
    if hint in _WORDS:
        return _WORDS[hint]
    origin, members = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return f"one of {', '.join(repr(member) for member in members)}"
    if _is_union(hint):
        return " or ".join(describe(member) for member in members)
    if origin in (list, tuple, dict) and members:
        what = "a mapping" if origin is dict else "a list"
        return f"{what} ({describe(members[origin is dict])} each)"
    names = choices(hint)
    return f"one of {', '.join(names)}" if names else str(getattr(hint, "__name__", hint))


def choices(hint: Any) -> list[str]:
    """The texts that a Literal or an Enum allows; empty for other types."""
    hint = without_none(hint)
    if typing.get_origin(hint) is typing.Literal:
        return [str(member) for member in typing.get_args(hint)]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return [member.name for member in hint]
    return []


def type_name(hint: Any) -> str:
    """A type as its author would write it: `int`, `list[str]`, `Literal['a', 'b']`, `Slot`."""
    if isinstance(hint, type) and typing.get_origin(hint) is None:
        return hint.__name__
    return str(hint).replace("typing.", "").replace("selma_core.options.", "").replace("pathlib.", "")


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)

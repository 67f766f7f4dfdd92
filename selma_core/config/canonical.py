"""Bound options as canonical JSON: what enters a fingerprint, and only that."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import attrs

from selma_core.catalog import Catalog
from selma_core.config.binding import bind_options
from selma_core.offers import Offer
from selma_core.options import Slot, info
from selma_core.registry import Registry


def expanded_options(offer: Offer, bound: Any, *, catalog: Catalog, registry: Registry) -> dict[str, Any]:
    """The options of `offer` that change results, as JSON values.

    A component becomes {plugin, provider, revision, source, options} (None when none is chosen), a registry name
    {section, pin}; so a renamed entry with equal content gives an equal fingerprint, and changed content another one.
    """
    return _fields(bound, catalog, registry)


def plain(value: Any) -> Any:
    """JSON of an option value: tuples become lists, paths texts, enums names."""
    if isinstance(value, enum.Enum):
        return value.name
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    raise TypeError(f"an option value of type {type(value).__name__} has no JSON form: {value!r}")


def _fields(bound: Any, catalog: Catalog, registry: Registry) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for field in attrs.fields(type(bound)):
        meta = info(field)
        if not meta.changes_results:
            continue
        value = getattr(bound, field.name)
        if meta.added and value == _default(field):
            continue
        if meta.component is not None:
            result[field.name] = _components(meta.component, value, catalog, registry)
        elif meta.entry is not None:
            result[field.name] = _entries(meta.entry, value, registry)
        elif attrs.has(type(value)):
            result[field.name] = _fields(value, catalog, registry)
        else:
            result[field.name] = plain(value)
    return result


def _default(field: attrs.Attribute[Any]) -> Any:
    return field.default.factory() if isinstance(field.default, attrs.Factory) else field.default  # type: ignore[arg-type, union-attr]


def _components(kind: str, value: Any, catalog: Catalog, registry: Registry) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _components(kind, slot, catalog, registry) for name, slot in value.items()}
    if not isinstance(value, Slot) or not value.use:
        return None
    offer = catalog.find(kind, value.use)
    bound = bind_options(offer, value.options, path=value.use, origins={}, catalog=catalog, registry=registry)
    return {
        "plugin": offer.name,
        "provider": offer.provider,
        "revision": offer.record.revision,
        "source": offer.source,
        "options": expanded_options(offer, bound, catalog=catalog, registry=registry),
    }


def _entries(section: str, value: Any, registry: Registry) -> Any:
    if isinstance(value, list | tuple):
        return [_entries(section, name, registry) for name in value]
    if not value:
        return None
    return {"section": section, "pin": registry.entry(section, str(value), need_files=False).pin}

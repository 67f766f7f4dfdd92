"""From plain values to the attrs instance of an options class, with every error at once."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

import attrs
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from selma_core.catalog import Catalog
from selma_core.config import schema
from selma_core.config.problems import config_error, interpolations, raise_all, unknown
from selma_core.errors import ConfigError, UserError, did_you_mean, nearest
from selma_core.offers import Offer
from selma_core.options import FieldInfo, Slot, info
from selma_core.registry import Registry

_MISSING = object()
_MAX_DEPTH = 12


def bind_options(
    offer: Offer,
    values: Mapping[str, Any],
    *,
    path: str,
    origins: Mapping[str, str],
    catalog: Catalog,
    registry: Registry,
) -> Any:
    """The options instance of an offer. Components and registry entries named in it are checked too.

    Args:
        values: option name -> plain value. path: where they stand (`stages.merge.options`).
        origins: dotted path -> layer, for the messages.

    Raises:
        ConfigErrors: every unknown option, wrong type, failed check, unknown name, in one exception.
    """
    binder = _Binder(origins, catalog, registry)
    bound = binder.bind(offer.record.options, values, path)
    raise_all(binder.errors)
    return bound


class _Binder:
    """Walks an options class; collects errors instead of raising."""

    def __init__(self, origins: Mapping[str, str], catalog: Catalog, registry: Registry) -> None:
        self.errors: list[ConfigError] = []
        self._origins, self._catalog, self._registry = origins, catalog, registry
        self._depth = 0

    def bind(self, cls: type, values: Any, path: str) -> Any:
        """An instance of `cls`, or None after an error."""
        if not isinstance(values, Mapping):
            self._error(path, f"must be a mapping of options, not {values!r}")
            return None
        before = len(self.errors)
        fields = {field.name: field for field in attrs.fields(cls) if field.init}
        for name in values:
            if name not in fields:
                self.errors.append(unknown(f"{path}.{name}", "option", str(name), fields, self._origins))
        config = OmegaConf.structured(cls)
        OmegaConf.set_readonly(config, False)  # frozen classes make read-only configs
        arguments: dict[str, Any] = {}
        for name, field in fields.items():
            bound = self._field(cls, config, field, values.get(name, _MISSING), f"{path}.{name}")
            if bound is not _MISSING:
                arguments[field.alias or name] = bound
        return self._instance(cls, arguments, path) if len(self.errors) == before else None

    def _field(self, cls: type, config: Any, field: attrs.Attribute[Any], value: Any, path: str) -> Any:
        hint, meta = schema.field_types(cls)[field.name], info(field)
        if value is _MISSING and field.default is attrs.NOTHING:
            self._error(path, f"is required{f' ({meta.help})' if meta.help else ''}")
            return _MISSING
        bad = list(interpolations(value, path))
        for where, text in bad:
            self._error(where, f"{text!r} holds '${{': values are plain data, nothing is read from outside")
        if bad:
            return _MISSING
        if meta.component is not None:
            return self._component(field, meta.component, hint, value, path)
        nested = schema.nested_class(hint)
        if nested is not None and not (value is None and schema.is_optional(hint)):
            return self._nested(nested, field, value, path)
        bound = _MISSING if value is _MISSING else self._leaf(config, field, hint, value, path)
        if meta.entry is not None:
            self._entry(meta, _default(field) if bound is _MISSING else bound, path)
        return bound

    def _leaf(self, config: Any, field: attrs.Attribute[Any], hint: Any, value: Any, path: str) -> Any:
        if isinstance(value, int) and not isinstance(value, bool) and schema.without_none(hint) is float:
            value = float(value)  # 3 is a fine way to write 3.0
        try:
            OmegaConf.update(config, field.name, value, merge=False)
            bound = config[field.name]
        except OmegaConfBaseException as error:
            self._type_error(field, hint, value, path, error)
            return _MISSING
        except (TypeError, ValueError) as error:
            self._error(path, f"must be {schema.describe(hint)}: {error}")
            return _MISSING
        plain = OmegaConf.to_object(bound) if OmegaConf.is_config(bound) else bound
        if typing.get_origin(schema.without_none(hint)) is tuple and plain is not None:
            plain = tuple(plain)
        return plain if self._valid(field, plain, path) else _MISSING

    def _type_error(self, field: attrs.Attribute[Any], hint: Any, value: Any, path: str, error: Any) -> None:
        inside = str(error.full_key or "").removeprefix(field.name)
        if inside and isinstance(value, Mapping | list | tuple):
            self._error(f"{path}{inside}", str(error).splitlines()[0])
            return
        shown = "null" if value is None else repr(value)
        close = nearest(str(value), schema.choices(hint))
        hint_text = f"did you mean '{close}'?" if close else ""
        self._error(path, f"must be {schema.describe(hint)}, not {shown}", hint_text)

    def _valid(self, field: attrs.Attribute[Any], value: Any, path: str) -> bool:
        if field.validator is None:
            return True
        try:
            field.validator(None, field, value)
        except (ValueError, TypeError) as error:
            self._error(path, str(error.args[0] if error.args else error))
            return False
        except AttributeError:  # it looks at other fields of the instance: it runs when that is built
            return True
        return True

    def _instance(self, cls: type, arguments: dict[str, Any], path: str) -> Any:
        try:
            return cls(**arguments)
        except (ValueError, TypeError) as error:
            self._error(path, str(error.args[0] if error.args else error))
            return None

    def _nested(self, cls: type, field: attrs.Attribute[Any], value: Any, path: str) -> Any:
        default = _default(field)
        given = _shallow({} if value is _MISSING else value)
        below = _shallow(default)
        below = below if isinstance(below, Mapping) else {}
        if isinstance(given, Mapping):
            given = {**below, **given}
        return self.bind(cls, given, path)

    def _component(self, field: attrs.Attribute[Any], kind: str, hint: Any, value: Any, path: str) -> Any:
        default = _default(field)
        value = default if value is _MISSING else value
        if schema.is_slot_mapping(hint):
            return self._components(kind, value, path)
        if value is None:
            return None if schema.is_optional(hint) else Slot()
        slot = self._slot(value, default if isinstance(default, Slot) else Slot(), path)
        if slot is None:
            return _MISSING
        if not slot.use and default is attrs.NOTHING:
            self._error(path, f"is required: name a {kind}", did_you_mean("", self._names(kind)))
        self._check_component(kind, slot, path)
        return slot

    def _components(self, kind: str, value: Any, path: str) -> Any:
        if not isinstance(value, Mapping):
            self._error(path, f"must be a mapping name -> {kind}, not {value!r}")
            return _MISSING
        slots = {name: self._slot(item, Slot(), f"{path}.{name}") for name, item in value.items()}
        for name, slot in slots.items():
            if slot is not None:
                self._check_component(kind, slot, f"{path}.{name}")
        return slots

    def _slot(self, value: Any, default: Slot, path: str) -> Slot | None:
        if isinstance(value, Slot):
            return Slot(value.use, dict(value.options))
        if isinstance(value, str):
            value = {"use": value}
        if not isinstance(value, Mapping):
            self._error(path, f"must name a plugin ({{use: name, options: {{...}}}}), not {value!r}")
            return None
        for key in set(value) - {"use", "options"}:
            self.errors.append(unknown(f"{path}.{key}", "key of a slot", str(key), ("use", "options"), self._origins))
        use, options = value.get("use", default.use) or "", value.get("options") or {}
        if not isinstance(use, str) or not isinstance(options, Mapping):
            self._error(path, "must be {use: name, options: {...}}")
            return None
        inherited = default.options if use == default.use else {}
        return Slot(use, {**inherited, **options})

    def _check_component(self, kind: str, slot: Slot, path: str) -> None:
        if not slot.use:
            return
        try:
            offer = self._catalog.find(kind, slot.use)
        except UserError as error:
            self._error(f"{path}.use", str(error))
            return
        if self._depth >= _MAX_DEPTH:
            self._error(path, f"plugins name each other more than {_MAX_DEPTH} deep")
            return
        self._depth += 1
        self.bind(offer.record.options, slot.options, f"{path}.options")
        self._depth -= 1

    def _entry(self, meta: FieldInfo, value: Any, path: str) -> None:
        for name in [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []:
            if not name:
                continue
            try:
                self._registry.entry(str(meta.entry), str(name), need_files=False)
            except UserError as error:
                self._error(path, str(error))

    def _names(self, kind: str) -> list[str]:
        return [offer.name for offer in self._catalog.offers(kind)]

    def _error(self, path: str, message: str, hint: str = "") -> None:
        self.errors.append(config_error(path, message, self._origins, hint))


def _shallow(value: Any) -> Any:
    """An attrs instance as a mapping, one level deep; anything else as it is."""
    return attrs.asdict(value, recurse=False) if attrs.has(type(value)) else value


def _default(field: attrs.Attribute[Any]) -> Any:
    default: Any = field.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        return attrs.NOTHING if default.takes_self else default.factory()
    return default

"""`selma plugins list` and `selma plugins show`."""

from __future__ import annotations

from typing import Annotated, Any

import attrs
from cyclopts import App, Parameter

from selma_core.catalog import Catalog
from selma_core.cli.common import Json, PluginFiles, open_catalog, print_json, print_table
from selma_core.errors import UnknownNameError, UserError, did_you_mean
from selma_core.kinds import BY_NAME
from selma_core.offers import Offer
from selma_core.options import FieldInfo, Slot, info

app = App(name="plugins", help="List plugins and show their options.\n\nExample: `selma plugins list`")


@app.command(name="list")
def list_command(
    *,
    kind: Annotated[str | None, Parameter(help="Only this kind.")] = None,
    timing: Annotated[bool, Parameter(help="Show how long each plugin took to import.", negative="")] = False,
    json: Json = False,
    plugin: PluginFiles = (),
) -> None:
    """List every plugin with its provider, and those that are quarantined.

    Example: `selma plugins list --kind merge_strategy`
    """
    if kind is not None and kind not in BY_NAME:
        raise UnknownNameError(f"unknown kind '{kind}'; {did_you_mean(kind, BY_NAME)}")
    catalog = open_catalog(plugin)
    if json:
        print_json(as_json(catalog, kind, timing))
    elif timing:
        rows = sorted(catalog.timings.items(), key=lambda item: -item[1])
        print_table(("plugin", "ms"), [(name, f"{1000 * seconds:.1f}") for name, seconds in rows])
    else:
        offers = catalog.offers(kind)
        print_table(
            ("kind", "name", "provider", "version", "summary"),
            [(one.kind.name, one.name, one.provider, one.version, one.record.summary) for one in offers],
        )


def as_json(catalog: Catalog, kind: str | None = None, timing: bool = False) -> dict[str, Any]:
    """The object that `selma plugins list --json` prints."""
    result: dict[str, Any] = {
        "plugins": [
            {
                "kind": offer.kind.name,
                "name": offer.name,
                "provider": offer.provider,
                "version": offer.version,
                "status": status(catalog, offer),
                "summary": offer.record.summary,
            }
            for offer in catalog.offers(kind)
        ],
        "problems": [
            {"provider": problem.provider, "plugin": problem.plugin, "status": "quarantined", "line": problem.line}
            for problem in catalog.problems
        ],
    }
    if timing:
        result["timings"] = catalog.timings
    return result


def status(catalog: Catalog, offer: Offer) -> str:
    """`ok`, or `ambiguous` when another provider has the same name and only `provider/name` selects it."""
    same = [other for other in catalog.offers(offer.kind.name) if other.name == offer.name]
    return "ok" if len(same) == 1 else "ambiguous"


@app.command(name="show")
def show_command(
    name: Annotated[str, Parameter(help="KIND/NAME or KIND/PROVIDER/NAME")],
    /,
    *,
    json: Json = False,
    plugin: PluginFiles = (),
) -> None:
    """Show one plugin: its options with types and defaults, its reference, its provider.

    Example: `selma plugins show merge_strategy/linear`
    """
    kind, slash, rest = name.partition("/")
    if not slash:
        raise UserError(f"'{name}': write KIND/NAME, like merge_strategy/linear (see: selma plugins list)")
    offer = open_catalog(plugin).find(kind, rest)
    if json:
        print_json(details(offer))
    else:
        _print_details(offer)


def details(offer: Offer) -> dict[str, Any]:
    """The object that `selma plugins show --json` prints."""
    record = offer.record
    return {
        "kind": offer.kind.name,
        "name": offer.name,
        "provider": offer.provider,
        "version": offer.version,
        "source": offer.source,
        "summary": record.summary,
        "reference": record.reference,
        "revision": record.revision,
        "requires": record.requires,
        "factory": record.factory,
        "options": [_option(record.options, field) for field in attrs.fields(record.options)],
    }


def _option(cls: type, field: attrs.Attribute[Any]) -> dict[str, Any]:
    from selma_core.config.schema import field_types, type_name

    meta = info(field)
    return {
        "name": field.name,
        "type": type_name(field_types(cls)[field.name]),
        "required": field.default is attrs.NOTHING,
        "default": _default(field),
        "help": meta.help,
        "names": meta.component or meta.entry,
        "changes_results": meta.changes_results,
    }


def _default(field: attrs.Attribute[Any]) -> Any:
    from selma_core.config.canonical import plain

    default: Any = field.default
    if default is attrs.NOTHING:
        return None
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        if default.takes_self:
            return None
        default = default.factory()
    if isinstance(default, Slot):
        return _slot(default)
    if isinstance(default, dict):
        return {name: _slot(value) if isinstance(value, Slot) else plain(value) for name, value in default.items()}
    return attrs.asdict(default) if attrs.has(type(default)) else plain(default)


def _slot(slot: Slot) -> Any:
    return slot.use if not slot.options else {"use": slot.use, "options": slot.options}


def _print_details(offer: Offer) -> None:
    record, kind = offer.record, offer.kind
    print(f"{kind.name} {offer.qualified} {offer.version}: {record.summary}\n")
    facts = [
        ("reference", record.reference),
        ("needs", record.requires and f"pip install '{offer.provider}[{record.requires}]'"),
        ("reads", ", ".join(f"{port} ({artifact})" for port, artifact in kind.ports)),
        ("stores", kind.artifact),
        ("factory", record.factory),
        ("revision", record.revision),
    ]
    print_table((), [row for row in facts if row[1]])
    fields = attrs.fields(record.options)
    if fields:
        print()
        rows = [_row(_option(record.options, field), info(field)) for field in fields]
        print_table(("option", "type", "default", "help"), rows)


def _row(option: dict[str, Any], meta: FieldInfo) -> tuple[str, str, str, str]:
    default = "required" if option["required"] else repr(option["default"])
    names = f" [{meta.component}]" if meta.component else f" [registry: {meta.entry}]" if meta.entry else ""
    free = "" if meta.changes_results else " (does not change results)"
    return option["name"], option["type"], default, f"{meta.help}{names}{free}"

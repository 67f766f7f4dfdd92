"""`selma models list`, `selma models show`, `selma models fetch`."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from selma_core.cli.common import Json, PluginFiles, open_registry, print_json, print_table
from selma_core.data import Entry
from selma_core.errors import UserError
from selma_core.models import folder_digest
from selma_core.registry import Registry

app = App(name="models", help="List, show and fetch models.\n\nExample: `selma models show shapes_base --json`")
Name = Annotated[
    str, Parameter(help="Registry name, folder, or hub:owner/name@COMMIT, and /FILE.gguf for one such file.")
]
Section = Annotated[str, Parameter(help="Registry section: whatever has `sources`.")]


@app.command(name="list")
def list_command(*, json: Json = False, plugin: PluginFiles = ()) -> None:
    """List the models of the registry and whether they are on this machine.

    Example: `selma models list`
    """
    registry = open_registry(plugin)
    rows = [_row(registry, f"{one.provider}/{one.name}") for one in registry.located("models")]
    if json:
        print_json({"models": rows})
    else:
        shown = ("name", "provider", "family", "status", "summary")
        print_table(shown, [[row[column] for column in shown] for row in rows])


@app.command(name="show")
def show_command(name: Name, /, *, json: Json = False, plugin: PluginFiles = ()) -> None:
    """Show where a model is, its family, its pin and the digest of its files.

    The `path` is the folder that diffusers' `from_pretrained` takes.

    Example: `selma models show shapes_base --json`
    """
    registry = open_registry(plugin)
    shown = details(registry, registry.entry("models", name, need_files=False))
    if json:
        print_json(shown)
    else:
        print_table((), [(key, value) for key, value in shown.items() if value not in (None, [], "")])


@app.command(name="fetch")
def fetch_command(
    name: Name,
    /,
    *,
    section: Section = "models",
    json: Json = False,
    plugin: PluginFiles = (),
) -> None:
    """Download a model (and verify it) unless it is already here.

    Example: `selma models fetch smollm2_135m`
    """
    from selma_core.cli.fetching import fetch_with_bar

    registry = open_registry(plugin)
    entry = fetch_with_bar(registry, section, name)
    if json:
        print_json(details(registry, entry))
    else:
        print(entry.path)


def details(registry: Registry, entry: Entry) -> dict[str, Any]:
    """The object that `selma models show --json` prints; `path` and `digest` are null when it is not here."""
    sources = [] if entry.provider == "path" else registry.sources(entry.section, _qualified(entry))
    return {
        "name": entry.name,
        "path": str(entry.path) if entry.path else None,
        "family": entry.data.get("family"),
        "digest": f"sha256:{folder_digest(entry.path)}" if entry.path else None,
        "pin": entry.pin,
        "provider": entry.provider,
        "status": "present" if entry.path else "absent",
        "summary": entry.data.get("summary"),
        "license": entry.data.get("license"),
        "reference": entry.data.get("reference"),
        "sources": [source.describe() for source in sources],
    }


def _qualified(entry: Entry) -> str:
    return entry.name if entry.provider == "hub" else f"{entry.provider}/{entry.name}"


def _row(registry: Registry, qualified: str) -> dict[str, Any]:
    one = registry.find("models", qualified)
    row: dict[str, Any] = {"name": one.name, "provider": one.provider, "family": None, "summary": None}
    try:
        data = registry.document("models", qualified).data
        row.update(family=data.get("family"), summary=data["summary"])
        here = any(source.present for source in registry.sources("models", qualified))
        row["status"] = "present" if here else "absent"
    except UserError as error:
        row.update(status="damaged", summary=str(error))
    return row

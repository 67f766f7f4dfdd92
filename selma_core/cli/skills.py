"""`selma skills list` and `selma skills show`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from selma_core.cli.common import Json, PluginFiles, open_registry, print_json
from selma_core.cli.sections import print_entries, to_yaml

app = App(name="skills", help="List and show skills.\n\nExample: `selma skills list`")


@app.command(name="list")
def list_command(*, json: Json = False, plugin: PluginFiles = ()) -> None:
    """List the skills of the registry.

    Example: `selma skills list`
    """
    print_entries(open_registry(plugin), "skills", json)


@app.command(name="show")
def show_command(
    name: Annotated[str, Parameter(help="NAME or PROVIDER/NAME")],
    /,
    *,
    json: Json = False,
    plugin: PluginFiles = (),
) -> None:
    """Print a skill: its seeds, its rules, and the pin that enters fingerprints.

    Example: `selma skills show count`
    """
    entry = open_registry(plugin).entry("skills", name)
    shown = {"name": entry.name, "provider": entry.provider, "pin": entry.pin, **entry.data}
    if json:
        print_json(shown)
    else:
        print(to_yaml(shown), end="")

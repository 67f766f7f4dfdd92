"""`selma recipes list` and `selma recipes show`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from selma_core.cli.common import Json, PluginFiles, open_registry, print_json
from selma_core.cli.sections import print_entries
from selma_core.config import load_recipe

app = App(name="recipes", help="List and show recipes.\n\nExample: `selma recipes show shapes`")


@app.command(name="list")
def list_command(*, json: Json = False, plugin: PluginFiles = ()) -> None:
    """List the recipes of the registry.

    Example: `selma recipes list`
    """
    print_entries(open_registry(plugin), "recipes", json)


@app.command(name="show")
def show_command(
    name: Annotated[str, Parameter(help="Registry name or YAML file.")],
    /,
    *,
    json: Json = False,
    plugin: PluginFiles = (),
) -> None:
    """Print a recipe's own file, or with `--json` the recipe with all that it extends.

    Example: `selma recipes show shapes`
    """
    from selma_core.config.recipe import recipe_file

    registry = open_registry(plugin)
    if json:
        recipe = load_recipe(name, registry=registry)
        print_json({"name": recipe.name, "path": str(recipe.path), **recipe.data})
    else:
        print(recipe_file(name, registry)[1].read_text(encoding="utf-8"), end="")

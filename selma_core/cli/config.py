"""`selma config show`: the resolved recipe, with the layer that set each value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from cyclopts import App, Parameter

from selma_core.cli.common import Json, Overrides, PluginFiles, print_json, report_problems
from selma_core.cli.sections import to_yaml
from selma_core.config import layer_of, open_recipe

app = App(
    name="config",
    help="Show a recipe as it is resolved, and who set what.\n\nExample: `selma config show shapes --origin`",
)


@app.command(name="show")
def show_command(
    recipe: Annotated[str, Parameter(help="Registry name or YAML file.")],
    /,
    *,
    override: Overrides = (),
    origin: Annotated[bool, Parameter(help="Name the layer that set each value.", negative="")] = False,
    json: Json = False,
    plugin: PluginFiles = (),
) -> None:
    """Print a recipe with everything it extends and all overrides.

    Example: `selma config show shapes -o stages.merge.use=param_mean --origin`
    """
    opened = open_recipe(recipe, override, plugins=plugin)
    report_problems(opened.catalog)
    data, origins = opened.recipe.data, opened.recipe.origins
    if json:
        print_json({"name": opened.recipe.name, "data": data, **({"origins": origins} if origin else {})})
    elif origin:
        for line in _lines(data, "", origins, ""):
            print(line)
    else:
        print(to_yaml(data), end="")


def _lines(data: Mapping[str, Any], path: str, origins: Mapping[str, str], indent: str) -> Iterator[str]:
    """YAML, one value a line, with the layer as a comment, so that the output is still the recipe."""
    for key, value in data.items():
        child = f"{path}.{key}" if path else key
        if isinstance(value, Mapping) and value:
            yield f"{indent}{_inline(key)}:"
            yield from _lines(value, child, origins, f"{indent}  ")
        else:
            layer = layer_of(child, origins) or "the default"
            yield f"{indent}{_inline(key)}: {_inline(value)}  # {layer}"


def _inline(value: Any) -> str:
    import yaml

    text = str(yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf")))
    return text.removesuffix("\n").removesuffix("\n...")

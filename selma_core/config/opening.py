"""From a recipe's name to everything a run needs: its plugins, its registry, the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from selma_core.catalog import Catalog
from selma_core.config.recipe import Recipe, load_recipe
from selma_core.registry import Registry


@attrs.frozen(kw_only=True)
class Opened:
    """A recipe with the catalog (its single-file plugins included) and the registry that it is read with."""

    catalog: Catalog
    registry: Registry
    recipe: Recipe


def open_recipe(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    plugins: Sequence[Path] = (),
    variant: Mapping[str, Any] | None = None,
) -> Opened:
    """Discovers plugins, loads the recipe, and discovers again when the recipe brings plugin files of its own.

    Args:
        plugins: single-file plugins from the command line, before those of the recipe.

    Raises:
        UserError: as `load_recipe`. PluginError: under `SELMA_PLUGINS_STRICT=1`.
    """
    catalog = Catalog.discover(plugins)
    registry = Registry(catalog.registry_sources())
    recipe = load_recipe(name_or_path, overrides, registry=registry, variant=variant)
    own = [Path(file) for file in recipe.data["plugins"].get("files", [])]
    files = list(dict.fromkeys([*catalog.files, *own]))
    if len(files) > len(catalog.files):
        catalog = Catalog.discover(files)
        registry = Registry(catalog.registry_sources())
    return Opened(catalog=catalog, registry=registry, recipe=recipe)

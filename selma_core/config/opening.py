"""From a recipe's name to everything a run needs: its plugins, its registry, the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from selma_core.catalog import Catalog
from selma_core.config.problems import raise_all
from selma_core.config.recipe import Recipe, read_recipe
from selma_core.errors import ConfigError, UserError
from selma_core.registry import Registry


@attrs.frozen(kw_only=True)
class Opened:
    """A recipe with the catalog (its single-file plugins included) and the registry that it is read with.

    Attributes:
        errors, whole: what is wrong with its shape, and whether `recipe` holds all stages nevertheless; see `Shape`.
    """

    catalog: Catalog
    registry: Registry
    recipe: Recipe
    errors: tuple[ConfigError, ...] = ()
    whole: bool = True


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
    opened = inspect_recipe(name_or_path, overrides, plugins=plugins, variant=variant)
    raise_all(opened.errors)
    return opened


def inspect_recipe(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    plugins: Sequence[Path] = (),
    variant: Mapping[str, Any] | None = None,
) -> Opened:
    """As `open_recipe`, but what is wrong with the recipe's shape is left in `Opened.errors`.

    Raises:
        UserError: also everything in `Opened.errors`, where plugin files are missing: no name could be judged then.
    """
    catalog = Catalog.discover(plugins)
    registry = Registry(catalog.registry_sources())
    recipe, shape = read_recipe(name_or_path, overrides, registry=registry, variant=variant)
    if not shape.names:
        raise_all(shape.errors)
    own = [Path(file) for file in recipe.data["plugins"].get("files", [])]
    files = list(dict.fromkeys([*catalog.files, *own]))
    if len(files) > len(catalog.files):
        try:
            catalog = Catalog.discover(files)
        except UserError as error:  # without its plugins no name of the recipe can be judged
            raise_all([*shape.errors, ConfigError(str(error))] if shape.errors else [])
            raise
        registry = Registry(catalog.registry_sources())
    return Opened(catalog=catalog, registry=registry, recipe=recipe, errors=shape.errors, whole=shape.whole)

"""What every command on a recipe needs: the plugins, the registry, the resolved recipe, its graph, the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from selma_core.catalog import Catalog
from selma_core.config import Recipe, open_recipe
from selma_core.graph.build import build
from selma_core.graph.node import Graph
from selma_core.registry import Registry
from selma_core.runtime import Runtime, read_runtime
from selma_core.store import Store, default_store


@attrs.frozen(kw_only=True)
class Session:
    """A recipe, ready to be planned or run."""

    catalog: Catalog
    registry: Registry
    recipe: Recipe
    graph: Graph
    runtime: Runtime
    store: Store


def open_session(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    store: Path | None = None,
    plugins: Sequence[Path] = (),
    variant: Mapping[str, Any] | None = None,
    until: Sequence[str] = (),
) -> Session:
    """Resolves a recipe. Nothing runs and no model file need be here.

    Args:
        recipe: registry name or YAML file. overrides: `stages.merge.use=ties`.
        store: default `$SELMA_STORE`, else `./selma-store`. plugins: single-file plugins.
        variant: one more layer below the command line, from an ablation.
        until: labels or ids of stages to stop at; empty means all of the recipe.

    Raises:
        UserError: whatever is wrong with the recipe, all at once where possible.
    """
    opened = open_recipe(recipe, overrides, plugins=plugins, variant=variant)
    catalog, registry = opened.catalog, opened.registry
    whole = build(opened.recipe, catalog, registry)
    graph = whole.until(until) if until else whole
    runtime = read_runtime(opened.recipe, catalog, registry)
    return Session(
        catalog=catalog,
        registry=registry,
        recipe=opened.recipe if len(graph) == len(whole) else _without_comparisons(opened.recipe),
        graph=graph,
        runtime=runtime,
        store=Store(store or default_store()),
    )


def _without_comparisons(recipe: Recipe) -> Recipe:
    """A part of a recipe may lack the stages that its report compares: what scores there are, stand alone."""
    return attrs.evolve(recipe, data={**recipe.data, "report": {}})

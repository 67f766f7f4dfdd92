"""What every command on a recipe needs: the plugins, the registry, the resolved recipe, its graph, the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from selma_core.catalog import Catalog
from selma_core.collect import check_report
from selma_core.config import Opened, Recipe, inspect_recipe
from selma_core.graph.build import Parts, build, read_parts
from selma_core.graph.node import Graph, no_stage
from selma_core.graph.problems import Problems
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
        ConfigErrors: whatever is wrong with the recipe, all at once: shape, slots, runtime, report.
        UserError: what nothing can be judged without: an unknown recipe, a file that cannot be read.
    """
    return session_of(inspect_recipe(recipe, overrides, plugins=plugins, variant=variant), store=store, until=until)


def session_of(opened: Opened, *, store: Path | None = None, until: Sequence[str] = ()) -> Session:
    """The session of a recipe that has been read, or put together in memory; see `open_session`."""
    catalog, registry, problems = opened.catalog, opened.registry, Problems(opened.recipe.origins)
    problems.extend(opened.errors)
    parts = read_parts(opened.recipe, catalog, registry, problems, whole=opened.whole)
    runtime = read_runtime(opened.recipe, catalog, registry, problems)
    if parts.settled and not until:
        check_report(opened.recipe.data["report"], tuple(parts.drafts.values()), problems)
    graph, cut = _graph(opened.recipe, parts, until, problems)
    return Session(
        catalog=catalog,
        registry=registry,
        recipe=_without_comparisons(opened.recipe) if cut else opened.recipe,
        graph=graph,
        runtime=runtime,
        store=Store(store or default_store()),
    )


def _graph(recipe: Recipe, parts: Parts, until: Sequence[str], problems: Problems) -> tuple[Graph, bool]:
    """The graph, and whether `until` cut it. The report of a cut one compares nothing, so it is not judged."""
    if problems and parts.settled:
        for name in until:
            line = no_stage(name, parts.drafts.values())
            if line:
                problems.add("--until", line)
    whole = build(recipe, parts, problems)
    graph = whole.until(until) if until else whole
    cut = len(graph) < len(whole)
    if until and not cut:
        check_report(recipe.data["report"], tuple(parts.drafts.values()), problems)
        problems.check()
    return graph, cut


def _without_comparisons(recipe: Recipe) -> Recipe:
    """A part of a recipe may lack the stages that its report compares: what scores there are, stand alone."""
    return attrs.evolve(recipe, data={**recipe.data, "report": {}})

"""From a recipe to its graph: slots to nodes, plugins found, options bound, inputs linked, fingerprints computed."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

import attrs

from selma_core.config import bind_options, expanded_options
from selma_core.errors import AmbiguousNameError, ConfigErrors, GraphError, UnknownNameError, UserError
from selma_core.graph.drafts import Draft, draft_nodes
from selma_core.graph.fingerprint import fingerprint, stage_payload
from selma_core.graph.links import check_reads, link
from selma_core.graph.needed import check_needed
from selma_core.graph.node import Graph, Node
from selma_core.graph.problems import Problems

if TYPE_CHECKING:
    from selma_core.catalog import Catalog, Offer
    from selma_core.config import Recipe
    from selma_core.registry import Registry


@attrs.frozen
class _Bound:
    """A draft with its plugin, its options, and what of them enters the fingerprint."""

    draft: Draft
    offer: Offer
    options: Any
    expanded: Mapping[str, Any]


@attrs.frozen
class Parts:
    """What a graph is put together from.

    Attributes:
        drafts: by id, as written. links: id -> port -> ids read. bound: id -> its plugin, None after a mistake.
        settled: whether ids and links are those that the recipe means, so that what names them can be judged.
    """

    drafts: Mapping[str, Draft]
    links: Mapping[str, Mapping[str, tuple[str, ...]]]
    bound: Mapping[str, _Bound | None]
    settled: bool


def read_parts(recipe: Recipe, catalog: Catalog, registry: Registry, problems: Problems, *, whole: bool) -> Parts:
    """Looks up all that the stages name, and notes every mistake. Nothing runs, no model file need be here.

    Args:
        whole: False when `recipe` lacks misshapen stages, so that what the others read from them cannot be judged.
    """
    before = len(problems)
    drafts = draft_nodes(recipe.data, problems)
    settled = whole and len(problems) == before
    links = {name: link(draft, drafts, problems) for name, draft in drafts.items()} if whole else {}
    bound = {name: _bind(draft, recipe, catalog, registry, problems) for name, draft in drafts.items()}
    return Parts(drafts, links, bound, settled)


def build(recipe: Recipe, parts: Parts, problems: Problems) -> Graph:
    """The graph of a recipe.

    Raises:
        ConfigErrors: with every mistake noted so far.
        GraphError: when nothing is wrong but that stages read each other in a circle.
    """
    try:
        order = _order(parts.links)
    except GraphError as error:
        if not problems:
            raise
        problems.add("stages", str(error).removeprefix("stages: "))
    problems.check()
    seed = int(recipe.data.get("seed", 0))
    nodes: dict[str, Node] = {}
    for name in order:
        found = parts.bound[name]
        assert found is not None  # problems.check() passed
        nodes[name] = _node(found, parts.links[name], nodes, seed)
    return Graph(nodes, seed, tuple(parts.drafts))


def make_payload(offer: Offer, expanded: Mapping[str, Any], seed: int, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of a stage from its plugin: shared by the graph and by the worker that checks it."""
    return stage_payload(
        kind=offer.kind.name,
        plugin=offer.record.name,
        provider=offer.provider,
        revision=offer.record.revision,
        source=offer.source,
        options=expanded,
        seed=seed,
        inputs=inputs,
    )


def _bind(draft: Draft, recipe: Recipe, catalog: Catalog, registry: Registry, problems: Problems) -> _Bound | None:
    path = draft.path
    try:
        offer = catalog.find(draft.kind, draft.use)
    except (UnknownNameError, AmbiguousNameError) as error:
        problems.add(f"{path}.use", str(error))
        return None
    check_reads(draft, offer.record, problems)
    try:
        options = bind_options(
            offer, draft.options, path=f"{path}.options", origins=recipe.origins, catalog=catalog, registry=registry
        )
        check_needed(draft, options, catalog, registry, problems)
        return _Bound(draft, offer, options, expanded_options(offer, options, catalog=catalog, registry=registry))
    except ConfigErrors as errors:
        problems.extend(errors.errors)
    except UserError as error:
        problems.add(f"{path}.options", str(error))
    return None


def _order(links: Mapping[str, Mapping[str, tuple[str, ...]]]) -> tuple[str, ...]:
    """Inputs before readers, and otherwise as written, so that plans and tables read like the recipe."""
    sorter = TopologicalSorter(
        {name: [node for found in ports.values() for node in found] for name, ports in links.items()}
    )
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise GraphError(f"stages: these read each other in a circle: {circle}") from None
    written = {name: position for position, name in enumerate(links)}
    order: list[str] = []
    ready: list[tuple[int, str]] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, (written[name], name))
        order.append(heapq.heappop(ready)[1])
        sorter.done(order[-1])
    return tuple(order)


def _node(found: _Bound, inputs: Mapping[str, tuple[str, ...]], done: Mapping[str, Node], seed: int) -> Node:
    prints = {port: [done[name].fingerprint for name in names] for port, names in inputs.items()}
    payload = make_payload(found.offer, found.expanded, seed, prints)
    draft = found.draft
    return Node(
        id=draft.id,
        label=draft.label,
        axes=draft.axes,
        kind=draft.kind,
        offer=found.offer,
        options=draft.options,
        bound=found.options,
        inputs=inputs,
        payload=payload,
        fingerprint=fingerprint(payload),
    )

"""What a run would do: one row per node, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from selma_core.graph.node import Graph, Node
from selma_core.store import Store


@attrs.frozen
class Planned:
    """One node of a plan.

    Attributes:
        id: the node's id; in a union of graphs `variant:id`.
        status: `run`, `hit` (stored), `suspect` (stored, but a file is missing or of the wrong size: it is made
            again), `shared` (the same as an earlier node of this plan). shared: that node's id, else None.
    """

    id: str
    node: Node
    status: str
    shared: str | None = None


def members(graph: Graph) -> list[tuple[str, Node]]:
    """The nodes of one graph, ready for `make_plan`."""
    return [(node.id, node) for node in graph]


def union(graphs: Mapping[str, Graph]) -> list[tuple[str, Node]]:
    """The nodes of several graphs, each named `variant:id`; equal fingerprints are one piece of work."""
    return [(f"{variant}:{node.id}", node) for variant, graph in graphs.items() for node in graph]


def make_plan(nodes: Iterable[tuple[str, Node]], store: Store) -> tuple[Planned, ...]:
    """One row per node, in the order given (inputs before readers)."""
    first: dict[str, str] = {}
    statuses = {"hit": "hit", "suspect": "suspect", "absent": "run"}
    rows = []
    for name, node in nodes:
        owner = first.setdefault(node.fingerprint, name)
        if owner == name:
            rows.append(Planned(name, node, statuses[store.status(node.fingerprint)]))
        else:
            rows.append(Planned(name, node, "shared", owner))
    return tuple(rows)

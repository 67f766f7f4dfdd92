"""A node: one stage for one value of each of its axes. A graph: all nodes, inputs before readers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from selma_core.errors import UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from selma_core.catalog import Offer


@attrs.frozen(kw_only=True)
class Node:
    """One stage to run.

    Attributes:
        id: `label` or `label[value,...]`. label: of the stage. axes: axis -> value, in the order of `foreach`.
        kind: kind of plugin. offer: the plugin.
        options: as written (plain); bound: as an instance of the plugin's options class.
        inputs: port -> ids of the nodes read, in reading order.
        payload: what was hashed. fingerprint: its sha256.
    """

    id: str
    label: str
    axes: Mapping[str, str]
    kind: str
    offer: Offer
    options: Mapping[str, Any]
    bound: Any = attrs.field(eq=False)
    inputs: Mapping[str, tuple[str, ...]]
    payload: Mapping[str, Any]
    fingerprint: str

    @property
    def reads(self) -> tuple[str, ...]:
        """Ids of all nodes it reads."""
        return tuple(node for found in self.inputs.values() for node in found)

    @property
    def input_fingerprints(self) -> dict[str, list[str]]:
        """Port -> fingerprints of what it reads."""
        return {port: list(found) for port, found in self.payload["inputs"].items()}


class Staged(Protocol):
    """What a node and a draft of one have in common: enough to judge names of stages and variants."""

    @property
    def id(self) -> str:
        """`label` or `label[value,...]`."""

    @property
    def label(self) -> str:
        """Of the stage."""

    @property
    def kind(self) -> str:
        """Of plugin."""

    @property
    def axes(self) -> Mapping[str, str]:
        """Axis -> value."""


def no_stage(name: str, nodes: Iterable[Staged]) -> str:
    """The line for a label or id that none of the nodes has; "" when one has it."""
    known = {text for node in nodes for text in (node.label, node.id)}
    return "" if name in known else f"there is no stage '{name}'; {did_you_mean(name, known)}"


@attrs.frozen
class Graph:
    """All nodes of a recipe.

    Attributes:
        nodes: by id, in topological order. seed: the run seed. written: all ids in the recipe's order, for tables.
    """

    nodes: Mapping[str, Node]
    seed: int
    written: tuple[str, ...]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __len__(self) -> int:
        return len(self.nodes)

    def __getitem__(self, node_id: str) -> Node:
        """The node of an id.

        Raises:
            UnknownNameError: with the nearest id.
        """
        if node_id not in self.nodes:
            raise UnknownNameError(f"there is no stage '{node_id}'; {did_you_mean(node_id, self.nodes)}")
        return self.nodes[node_id]

    def until(self, names: Sequence[str]) -> Graph:
        """The part of the graph that the named stages (labels or ids) need, themselves included.

        Raises:
            UnknownNameError: with the nearest label or id.
        """
        wanted: set[str] = set()
        for name in names:
            found = [node.id for node in self if name in (node.label, node.id)]
            if not found:
                raise UnknownNameError(f"--until: {no_stage(name, self)}")
            wanted.update(found)
        for node_id in reversed(list(self.nodes)):  # readers before inputs
            if node_id in wanted:
                wanted.update(self.nodes[node_id].reads)
        kept = {name: node for name, node in self.nodes.items() if name in wanted}
        return Graph(kept, self.seed, tuple(name for name in self.written if name in wanted))

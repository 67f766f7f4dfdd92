"""The stages by label: what was made, what was reused, what failed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import attrs

from selma_core.report.source import ReportNode, ReportSource

OUTCOMES = ("ran", "reused", "failed")


@attrs.frozen
class StageBox:
    """All nodes of one label. Attributes: counts = outcome -> nodes, those with any; reads = other labels."""

    label: str
    kind: str
    counts: Mapping[str, int]
    reads: tuple[str, ...]
    layer: int

    @property
    def words(self) -> str:
        """`3 ran, 2 reused`."""
        return ", ".join(f"{count} {name}" for name, count in self.counts.items())


def stage_boxes(source: ReportSource) -> list[StageBox]:
    """One per label, in the order of the graph."""
    by_id = {node.id: node for node in source.nodes}
    nodes: dict[str, list[ReportNode]] = defaultdict(list)
    for node in source.nodes:
        nodes[node.label].append(node)
    reads = {
        name: tuple(
            dict.fromkeys(
                by_id[read].label
                for node in found
                for read in node.reads
                if read in by_id and by_id[read].label != name
            )
        )
        for name, found in nodes.items()
    }
    layers = _layers(reads)
    return [StageBox(name, found[0].kind, _counts(found), reads[name], layers[name]) for name, found in nodes.items()]


def _counts(nodes: Sequence[ReportNode]) -> dict[str, int]:
    """Nodes with one fingerprint are one piece of work: it counts once, by what happened to it first."""
    first: dict[str, str] = {}
    for node in nodes:
        first.setdefault(node.fingerprint, node.outcome)
    counts = Counter(first.values())
    return {name: counts[name] for name in OUTCOMES if counts[name]}


def _layers(reads: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Label -> length of its longest way from a stage without inputs; a label that reads itself in turns is cut."""
    found: dict[str, int] = {}

    def depth(name: str, above: tuple[str, ...]) -> int:
        if name not in found:
            inner = [depth(read, (*above, name)) for read in reads[name] if read not in (*above, name)]
            found[name] = 1 + max(inner, default=-1)
        return found[name]

    for name in reads:
        depth(name, ())
    return found

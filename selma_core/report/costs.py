"""What a variant cost, against what it scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
from markupsafe import Markup

from selma_core.report.scatter import Dot, scatter_plot
from selma_core.report.source import ReportSource
from selma_core.store.manifest import Manifest


@attrs.frozen
class Cost:
    """One variant, with every stage that its score needs; a stage that several variants share counts for each.

    Attributes:
        seconds: of the attempts that made the artifacts, whether in this run or before.
        images: drawn. memory: the peak of its hungriest stage in bytes, None where no stage recorded it.
        on_front: no other variant is both as cheap and as good, and better in one of the two.
    """

    variant: str
    score: float
    seconds: float
    images: int
    memory: int | None
    stages: int
    on_front: bool = False


def costs(source: ReportSource, made: Mapping[str, Manifest]) -> list[Cost]:
    """One per variant with a score in the headline metric, whose stages are all stored.

    Args:
        made: node id -> manifest.
    """
    reads = {node.id: tuple(node.reads) for node in source.nodes}
    found = []
    for variant, summaries in source.summaries.items():
        node, summary = source.score_node(variant, source.headline), summaries.get(source.headline)
        if node is None or summary is None or summary.mean is None:
            continue
        needed = _needed(node.id, reads)
        if all(name in made for name in needed):
            found.append(_cost(variant, summary.mean, [made[name] for name in needed]))
    return with_front(found, _higher(source))


def with_front(rows: Sequence[Cost], higher_is_better: bool = True) -> list[Cost]:
    """The rows, with those on the Pareto front of cost and score marked."""
    sign = 1.0 if higher_is_better else -1.0
    points = [(row.seconds, -sign * row.score) for row in rows]
    return [
        attrs.evolve(row, on_front=not any(_beats(q, p) for q in points)) for row, p in zip(rows, points, strict=True)
    ]


def cost_plot(rows: Sequence[Cost], colour: Mapping[str, int], base: str) -> Markup:
    """Score over minutes, the front joined by a line and named."""
    dots = [
        Dot(row.seconds / 60, row.score, row.variant, colour.get(row.variant, 0), row.on_front, row.variant == base)
        for row in rows
    ]
    return scatter_plot(dots, "minutes of work", "score")


def _higher(source: ReportSource) -> bool:
    found = (by[source.headline] for by in source.summaries.values() if source.headline in by)
    return next((summary.higher_is_better for summary in found), True)


def _beats(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] <= b[0] and a[1] <= b[1] and a != b


def _needed(start: str, reads: Mapping[str, Sequence[str]]) -> list[str]:
    seen, todo = {start: None}, [start]
    while todo:
        for name in reads.get(todo.pop(), ()):
            if name not in seen:
                seen[name] = None
                todo.append(name)
    return list(seen)


def _cost(variant: str, score: float, made: Sequence[Manifest]) -> Cost:
    peaks = [max(manifest.peak_memory.values()) for manifest in made if manifest.peak_memory]
    drawn = [manifest for manifest in made if manifest.kind == "image_generator"]
    return Cost(
        variant=variant,
        score=score,
        seconds=sum(manifest.seconds for manifest in made),
        images=sum(name.endswith(".png") for manifest in drawn for name in manifest.files),
        memory=max(peaks, default=None),
        stages=len(made),
    )

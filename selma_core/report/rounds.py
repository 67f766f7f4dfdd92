"""What the rewards did over the rounds of a loop: all images of a round, and those that were kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import attrs

from selma_core.artifacts.images import read_images
from selma_core.artifacts.scores import read_scores, read_values
from selma_core.graph.axes import is_repeat
from selma_core.report.source import ReportNode, ReportSource, read_or_note


@attrs.frozen
class RoundRow:
    """Attributes: mean = over all images that have a value; kept = over those that a selector chose; None = none."""

    number: str
    images: int
    mean: float | None
    kept_images: int
    kept: float | None


@attrs.frozen
class Trend:
    """One reward over the rounds. Attributes: stage = its label, and values of other axes; metric with its rule."""

    stage: str
    metric: str
    rows: tuple[RoundRow, ...]


def trends(source: ReportSource, notes: list[str]) -> list[Trend]:
    """One per evaluator stage that runs over an axis of rounds. A reward that rises need not please a judge."""
    rounds = {axis for axis, found in (source.recipe.data.get("axes") or {}).items() if is_repeat(found)}
    groups: dict[str, list[ReportNode]] = {}
    for node in source.nodes:
        if node.kind == "evaluator" and rounds & node.axes.keys():
            groups.setdefault(_stage(node, rounds), []).append(node)
    found: list[Trend] = []
    shown = set()
    for stage, nodes in groups.items():
        rows = [_row(source.nodes, node, rounds, notes) for node in nodes if node.artifact is not None]
        made = [row for row in rows if row is not None]
        if made and tuple(made) not in shown:  # variants of an ablation share what they have in common
            shown.add(tuple(made))
            found.append(Trend(stage, made[0][0], tuple(row for _, row in made)))
    return found


def _stage(node: ReportNode, rounds: set[str]) -> str:
    """The label after its variant in an ablation, with the values of all other axes."""
    variant = node.id.removesuffix(f"{node.label}[{','.join(node.axes.values())}]")
    others = ",".join(value for axis, value in node.axes.items() if axis not in rounds)
    return f"{variant}{node.label}[{others}]" if others else f"{variant}{node.label}"


def _row(
    nodes: Sequence[ReportNode], node: ReportNode, rounds: set[str], notes: list[str]
) -> tuple[str, RoundRow] | None:
    assert node.artifact is not None
    read = read_or_note(notes, f"scores of {node.id}", _values, node.artifact)
    if read is None:
        return None
    metric, values = read
    kept: dict[str, float | None] = {}
    for other in nodes:
        if other.kind == "selector" and other.artifact is not None and node.id in other.reads:
            items = read_or_note(notes, f"images of {other.id}", read_images, other.artifact) or ()
            kept |= {item.item_id: values.get(item.item_id) for item in items}
    number = ",".join(value for axis, value in node.axes.items() if axis in rounds)
    return metric, RoundRow(number, len(values), _mean(values), len(kept), _mean(kept))


def _values(folder: Path) -> tuple[str, dict[str, float | None]]:
    info = read_scores(folder).info
    values = {value.item_id: value.values.get(info.rules[0]) for value in read_values(folder)}
    return f"{info.name} ({info.rules[0]})", values


def _mean(values: Mapping[str, float | None]) -> float | None:
    seen = [value for value in values.values() if value is not None]
    return fmean(seen) if seen else None

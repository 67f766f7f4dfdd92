"""What the rewards did over the rounds of a loop: all images of a round, and those that were kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import attrs
from markupsafe import Markup

from selma_core.artifacts.images import read_images
from selma_core.artifacts.scores import read_scores, read_values
from selma_core.graph.axes import is_repeat
from selma_core.report.figures import Axis, axis_cell, axis_of, interval_cell
from selma_core.report.source import ReportNode, ReportSource, read_or_note
from selma_core.statistics import bootstrap_mean, paired

ALL, KEPT = 0, 1
"""Colour classes of the two marks."""


@attrs.frozen
class Mean:
    """A mean over prompts. Attributes: images = behind it; low, high = the 95 % interval; by_prompt = its values."""

    images: int
    value: float
    low: float
    high: float
    by_prompt: Mapping[str, float] = attrs.field(repr=False)


@attrs.frozen
class Change:
    """A round less the one before, on the prompts of both, with its 95 % interval."""

    value: float
    low: float
    high: float


@attrs.frozen
class RoundRow:
    """Attributes: images, kept_images = with or without a value; all = of those that have one; kept = of those among
    them that a selector chose; change = of `all`, to the round before; None = there is none. figure = both means."""

    number: str
    images: int
    all: Mean | None
    kept_images: int
    kept: Mean | None
    change: Change | None = None
    figure: Markup = Markup("")


@attrs.frozen
class Trend:
    """One reward over the rounds. Attributes: stage = its label, and values of other axes; metric with its rule; axis =
    of the rows' figures."""

    stage: str
    metric: str
    axis: Markup
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
    seed = int(source.recipe.data.get("seed", 0))
    for stage, nodes in groups.items():
        done = [node for node in nodes if node.artifact is not None]
        same = tuple(node.fingerprint for node in done)
        made = [row for node in done if (row := _row(source.nodes, node, rounds, notes, seed)) is not None]
        if made and same not in shown:  # variants of an ablation share what they have in common
            shown.add(same)
            found.append(_trend(stage, made[0][0], [row for _, row in made], seed))
    return found


def _trend(stage: str, metric: str, rows: Sequence[RoundRow], seed: int) -> Trend:
    means = [mean for row in rows for mean in (row.all, row.kept) if mean is not None]
    first = rows[0].all
    rule = None if first is None else first.value
    axis = axis_of([end for mean in means for end in (mean.low, mean.value, mean.high)], rule)
    before: list[RoundRow | None] = [None, *rows]
    changed = tuple(
        attrs.evolve(row, change=_change(row, last, seed), figure=_figure(axis, row))
        for row, last in zip(rows, before, strict=False)
    )
    return Trend(stage, metric, axis_cell(axis), changed)


def _change(row: RoundRow, last: RoundRow | None, seed: int) -> Change | None:
    if last is None or last.all is None or row.all is None:
        return None
    try:
        found = paired(row.all.by_prompt, last.all.by_prompt, seed=seed)
    except ValueError:  # each round has prompts of its own
        return None
    return Change(found.difference, found.low, found.high)


def _figure(axis: Axis, row: RoundRow) -> Markup:
    marks = [(mean, colour) for mean, colour in ((row.all, ALL), (row.kept, KEPT)) if mean is not None]
    return Markup("").join(interval_cell(axis, one.value, one.low, one.high, colour) for one, colour in marks)


def _stage(node: ReportNode, rounds: set[str]) -> str:
    """The label after its variant in an ablation, with the values of all other axes."""
    variant = node.id.removesuffix(f"{node.label}[{','.join(node.axes.values())}]")
    others = ",".join(value for axis, value in node.axes.items() if axis not in rounds)
    return f"{variant}{node.label}[{others}]" if others else f"{variant}{node.label}"


def _row(
    nodes: Sequence[ReportNode], node: ReportNode, rounds: set[str], notes: list[str], seed: int
) -> tuple[str, RoundRow] | None:
    assert node.artifact is not None
    read = read_or_note(notes, f"scores of {node.id}", _values, node.artifact)
    if read is None:
        return None
    metric, values = read
    kept: set[str] = set()
    for other in nodes:
        if other.kind == "selector" and other.artifact is not None and node.id in other.reads:
            items = read_or_note(notes, f"images of {other.id}", read_images, other.artifact) or ()
            kept |= {item.item_id for item in items}
    number = ",".join(value for axis, value in node.axes.items() if axis in rounds)
    chosen = [one for one in values if one.item_id in kept]
    return metric, RoundRow(number, len(values), _mean(values, seed), len(kept), _mean(chosen, seed))


@attrs.frozen
class _Value:
    item_id: str
    prompt_id: str
    value: float | None


def _values(folder: Path) -> tuple[str, list[_Value]]:
    info = read_scores(folder).info
    values = [_Value(one.item_id, one.prompt_id, one.values.get(info.rules[0])) for one in read_values(folder)]
    return f"{info.name} ({info.rules[0]})", values


def _mean(values: Iterable[_Value], seed: int) -> Mean | None:
    """Over prompts, of each the mean over its images: images of one prompt are not independent."""
    prompts: dict[str, list[float]] = {}
    for one in values:
        if one.value is not None:
            prompts.setdefault(one.prompt_id, []).append(one.value)
    if not prompts:
        return None
    by_prompt = {key: fmean(found) for key, found in sorted(prompts.items())}
    interval = bootstrap_mean(list(by_prompt.values()), seed=seed)
    return Mean(sum(map(len, prompts.values())), interval.mean, interval.low, interval.high, by_prompt)

"""Which reward chose which image: what selectors wrote of the images that they kept, counted and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import attrs

from selma_core.artifacts.images import read_images
from selma_core.data import ImageItem
from selma_core.report.pictures import Cell, samples
from selma_core.report.source import ReportNode, ReportSource, read_or_note

_IMAGES = 6
_STAGES = 24


@attrs.frozen
class RewardRow:
    """One reward over the kept images of a stage.

    Attributes: first = how many it ranked first; passed = how many reach its bound; rank, value = means; None where the
    selector does not say.
    """

    reward: str
    first: int | None
    passed: int | None
    rank: float | None
    value: float | None


@attrs.frozen
class Choice:
    """What one selector stage kept. Attributes: rule = as the selector calls it; cells = some images, each with why."""

    node: str
    rule: str
    kept: int
    rewards: tuple[RewardRow, ...]
    cells: tuple[Cell, ...]


def choices(source: ReportSource, notes: list[str]) -> list[Choice]:
    """One per selector stage whose images say why they were kept, the first two dozen; equal stages once."""
    found: dict[str, Choice] = {}
    for node in source.nodes:
        if node.kind == "selector" and node.artifact is not None and node.fingerprint not in found:
            made = _choice(node, notes)
            if made is not None:
                found[node.fingerprint] = made
        if len(found) >= _STAGES:
            break
    return list(found.values())


def because(selection: Mapping[str, Any]) -> str:
    """Why an image was kept, in one line: `ranked first by caption_reward; segment_reward 0.25 (rank 1)`."""
    parts = []
    if first := _names(selection, "best_by"):
        parts.append(f"ranked first by {', '.join(first)}")
    if passed := _names(selection, "passed"):
        parts.append(f"passed {', '.join(passed)}")
    ranks = _numbers(selection, "ranks")
    values = [
        f"{name} {value:.3g}" + (f" (rank {ranks[name]:g})" if name in ranks else "")
        for name, value in _numbers(selection, "values").items()
    ]
    return "; ".join([*parts, ", ".join(values)]).strip("; ")


def _choice(node: ReportNode, notes: list[str]) -> Choice | None:
    assert node.artifact is not None
    items = read_or_note(notes, f"images of {node.id}", read_images, node.artifact) or ()
    told = [item for item in items if _numbers(item.selection, "values")]
    if not told:
        return None
    rewards = list(dict.fromkeys(name for item in told for name in _numbers(item.selection, "values")))
    rule = str(told[0].selection.get("rule") or node.plugin)
    rows = tuple(_row(reward, [item.selection for item in told]) for reward in rewards)
    return Choice(node.id, rule, len(items), rows, tuple(_cells(told, notes)))


def _row(reward: str, selections: Sequence[Mapping[str, Any]]) -> RewardRow:
    def count(field: str) -> int | None:
        lists = [_names(one, field) for one in selections if field in one]
        return sum(reward in names for names in lists) if lists else None

    def mean(field: str) -> float | None:
        values = [numbers[reward] for one in selections if reward in (numbers := _numbers(one, field))]
        return fmean(values) if values else None

    return RewardRow(reward, count("best_by"), count("passed"), mean("ranks"), mean("values"))


def _cells(items: Sequence[ImageItem], notes: list[str]) -> list[Cell]:
    return samples(items, _IMAGES, notes, lambda item: f"{item.prompt.text}: {because(item.selection)}")


def _names(selection: Mapping[str, Any], field: str) -> list[str]:
    found = selection.get(field)
    return [str(name) for name in found] if isinstance(found, list | tuple) else []


def _numbers(selection: Mapping[str, Any], field: str) -> dict[str, float]:
    """Third parties' selectors may write what they like under these names."""
    found = selection.get(field)
    pairs = found.items() if isinstance(found, Mapping) else ()
    return {str(name): float(value) for name, value in pairs if isinstance(value, int | float)}

"""Traces of weights that were fitted for a merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from markupsafe import Markup

from selma_core.artifacts.adapter import CURVE, read_card
from selma_core.report.figures import Line, curve_plot
from selma_core.report.source import ReportSource, read_or_note
from selma_core.report.training import read_curve, series


@attrs.frozen
class Search:
    """The search of one merge. Attributes: caption = what came of it in words; weights = (expert, weight found)."""

    node: str
    figure: Markup
    caption: str
    weights: tuple[tuple[str, float], ...]


def searches(source: ReportSource, notes: list[str]) -> list[Search]:
    """One per merge whose weights were fitted on a metric (rows with `value` and `best`)."""
    found = []
    for node in source.nodes:
        if node.kind == "merge_strategy" and node.artifact is not None:
            rows = read_or_note(notes, f"search of {node.id}", read_curve, node.artifact / CURVE)
            if rows and series(rows, "value"):
                card = read_or_note(notes, f"card of {node.id}", read_card, node.artifact) or {}
                found.append(_search(node.id, rows, card))
    return found


def _search(node: str, rows: Sequence[Mapping[str, float]], card: Mapping[str, Any]) -> Search:
    # Only measurements over all prompts can be compared with each other.
    most = max(row.get("prompts", 0) for row in rows)
    whole = [row for row in rows if row.get("prompts") == most]
    lines = [Line(series(whole, "value"), "train"), Line(series(rows, "best"), "smooth")]
    parents, weights = card.get("parents") or [], card.get("weights") or []
    return Search(
        node,
        curve_plot([line for line in lines if line.points]),
        _caption(card.get("search") or {}, len(rows)),
        tuple((str(parent)[:12], float(weight)) for parent, weight in zip(parents, weights, strict=False)),
    )


def _caption(record: Mapping[str, Any], measured: int) -> str:
    parts = [f"{measured} measurements"]
    if "images_drawn" in record:
        parts.append(f"{record['images_drawn']} images drawn ({record['images_without_racing']} without racing)")
    if "mean_value" in record:
        parts.append(f"equal weights {record['mean_value']:.3f}, best {record['best_value']:.3f}")
    return ", ".join(parts)

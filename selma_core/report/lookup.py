"""Where things are in a recipe's graph: which stage drew the judged images, and from which prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selma_core.report.source import ReportNode, ReportSource


def report_settings(source: ReportSource) -> Mapping[str, Any]:
    """The recipe's `report` section."""
    return source.recipe.data.get("report") or {}


def stages(source: ReportSource) -> Mapping[str, Mapping[str, Any]]:
    """The recipe's stages by label."""
    return source.recipe.data.get("stages") or {}


def read_labels(source: ReportSource, label: str, port: str) -> list[str]:
    """The labels that a stage's port reads, without the `[value]` of single nodes."""
    found = (stages(source).get(label, {}).get("from") or {}).get(port) or []
    return [str(name).split("[")[0] for name in (found if isinstance(found, list) else [found])]


def score_label(source: ReportSource) -> str:
    """The stage whose scores the report shows: `report.scores`, else the first evaluator."""
    named = str(report_settings(source).get("scores") or "")
    return named or next((node.label for node in source.nodes if node.kind == "evaluator"), "")


def sample_label(source: ReportSource) -> str:
    """The stage that drew the judged images, "" when nothing is judged."""
    return next(iter(read_labels(source, score_label(source), "images")), "")


def of_variant(source: ReportSource, label: str, variant: str) -> ReportNode | None:
    """The node of a stage that belongs to a variant and has an artifact."""
    for node in source.nodes:
        if node.label == label and node.artifact is not None and variant in node.axes.values():
            return node
    return None


def headline(source: ReportSource) -> str:
    """The metric declared by the recipe, else the first one there is."""
    metrics = [metric for found in source.summaries.values() for metric in found]
    named = str(report_settings(source).get("headline") or "")
    return named if named in metrics or not metrics else metrics[0]


def options_text(options: Mapping[str, Any]) -> str:
    """`benchmark=shapes, per_group=24`; a plugin in a slot is shown by its name."""
    shown = {key: value.get("use", value) if isinstance(value, dict) else value for key, value in options.items()}
    return ", ".join(f"{key}={value}" for key, value in shown.items())

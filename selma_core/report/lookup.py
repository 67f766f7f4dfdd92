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


def score_label(source: ReportSource, metric: str = "") -> str:
    """The stage that scores a metric: the one named in `dsg:label`, else the first of `report.scores` or of all."""
    named = report_settings(source).get("scores") or []
    labels = [named] if isinstance(named, str) else list(named)
    labels += [node.label for node in source.nodes if node.kind == "evaluator"]
    _, _, own = metric.partition(":")
    return own or next(iter(labels), "")


def sample_label(source: ReportSource) -> str:
    """The stage that drew the judged images, "" when nothing is judged."""
    return next(iter(read_labels(source, score_label(source, headline(source)), "images")), "")


def score_node(source: ReportSource, metric: str, variant: str) -> ReportNode | None:
    """The stage that scored a variant."""
    label = score_label(source, metric)
    return next((n for n in source.nodes if n.label == label and (",".join(n.axes.values()) or label) == variant), None)


def sample_node(source: ReportSource, variant: str) -> ReportNode | None:
    """The stage that drew a variant's images: its axes are among those of the stage that scored them."""
    scored = score_node(source, headline(source), variant)
    axes = scored.axes.items() if scored is not None else {}.items()
    label = sample_label(source)
    return next((n for n in source.nodes if n.label == label and n.axes.items() <= axes), None)


def headline(source: ReportSource) -> str:
    """The metric declared by the recipe, else the first one there is."""
    metrics = [metric for found in source.summaries.values() for metric in found]
    named = str(report_settings(source).get("headline") or "")
    return named if named in metrics or not metrics else metrics[0]


def options_text(options: Mapping[str, Any]) -> str:
    """`benchmark=shapes, per_group=24`; a plugin in a slot is shown by its name."""
    shown = {key: value.get("use", value) if isinstance(value, dict) else value for key, value in options.items()}
    return ", ".join(f"{key}={value}" for key, value in shown.items())

"""Where things are among the stages of one recipe: which one scored a variant, drew its images, from which prompts."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import yaml

from selma_core.config.problems import COMMAND_LINE, split

if TYPE_CHECKING:
    from selma_core.config import Recipe
    from selma_core.data import Summary
    from selma_core.result import NodeResult


@attrs.frozen
class StageLookup:
    """Attributes: data = the resolved recipe; nodes = its stages, inputs first."""

    data: Mapping[str, Any]
    nodes: Sequence[NodeResult]

    @property
    def settings(self) -> Mapping[str, Any]:
        """The recipe's `report` section."""
        return self.data.get("report") or {}

    def score_node(self, variant: str, metric: str) -> NodeResult | None:
        """The stage that scored a variant in a metric."""
        label = self._score_label(metric)
        scored = (node for node in self.nodes if node.label == label)
        return next((node for node in scored if (",".join(node.axes.values()) or label) == variant), None)

    def sample_node(self, variant: str, metric: str) -> NodeResult | None:
        """The stage that drew a variant's judged images: its axes are among those of the stage that scored them."""
        scored = self.score_node(variant, metric)
        axes = scored.axes.items() if scored is not None else {}.items()
        label = self._sample_label(metric)
        return next((node for node in self.nodes if node.label == label and node.axes.items() <= axes), None)

    def judged_prompts(self, metric: str) -> list[str]:
        """Which prompts the judged images were drawn from, with the options that may have cut them to a subset."""
        stages = self._stages()
        found = []
        for label in self._reads(self._sample_label(metric), "prompts"):
            stage = stages.get(label, {})
            found.append(f"stage {label}: {stage.get('use', '')} ({options_text(stage.get('options') or {})})")
        return found

    def _stages(self) -> Mapping[str, Mapping[str, Any]]:
        return self.data.get("stages") or {}

    def _reads(self, label: str, port: str) -> list[str]:
        """The labels that a stage's port reads, without the `[value]` of single nodes."""
        found = (self._stages().get(label, {}).get("from") or {}).get(port) or []
        return [str(name).split("[")[0] for name in (found if isinstance(found, list) else [found])]

    def _score_label(self, metric: str) -> str:
        """The stage that scores a metric: the one named in `dsg:label`, else the first of `report.scores` or of all."""
        named = self.settings.get("scores") or []
        labels = [named] if isinstance(named, str) else list(named)
        labels += [node.label for node in self.nodes if node.kind == "evaluator"]
        _, _, own = metric.partition(":")
        return own or next(iter(labels), "")

    def _sample_label(self, metric: str) -> str:
        return next(iter(self._reads(self._score_label(metric), "images")), "")


def headline_of(summaries: Mapping[str, Mapping[str, Summary]], settings: Mapping[str, Any]) -> str:
    """The metric declared in `report.headline`, else the first one there is; "" without scores."""
    metrics = [metric for found in summaries.values() for metric in found]
    named = str(settings.get("headline") or "")
    return named if named in metrics or not metrics else metrics[0]


def run_command(recipe: Recipe, verb: str = "run") -> str:
    """The command line that repeats a recipe, with its overrides."""
    overrides = [
        f"-o {shlex.quote(f'{path}={_value(recipe.data, path)}')}"
        for path, layer in recipe.origins.items()
        if layer == COMMAND_LINE
    ]
    known_by_name = recipe.path is None or recipe.path.parent.name == "recipes"
    return " ".join(["selma", verb, shlex.quote(recipe.name if known_by_name else str(recipe.path)), *overrides])


def options_text(options: Mapping[str, Any]) -> str:
    """`benchmark=shapes, per_group=24`; a plugin in a slot is shown by its name."""
    shown = {key: value.get("use", value) if isinstance(value, dict) else value for key, value in options.items()}
    return ", ".join(f"{key}={value}" for key, value in shown.items())


def _value(data: Mapping[str, Any], path: str) -> str:
    found: Any = data
    for part in split(path):
        found = found.get(part, "") if isinstance(found, Mapping) else ""
    return yaml.safe_dump(found, default_flow_style=True, width=10_000).split("\n")[0].strip()

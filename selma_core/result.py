"""A finished run, with typed access to what it made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from selma_core.artifacts.images import read_images
from selma_core.artifacts.prompts import PromptSet, read_prompts
from selma_core.artifacts.scores import ScoreTable, read_scores
from selma_core.data import ImageItem, Summary
from selma_core.errors import StageError, UnknownNameError, UserError, did_you_mean
from selma_core.kinds import BY_NAME
from selma_core.stage_lookup import StageLookup, headline_of, run_command

if TYPE_CHECKING:
    from selma_core.config import Recipe


@attrs.frozen(kw_only=True)
class NodeResult:
    """One stage of a run.

    Attributes:
        id, label, kind, plugin, fingerprint, axes: of the node.
        outcome: `ran`, `reused` (from the store, or made by an equal stage of this run) or `failed`.
        seconds: in this run. artifact: its folder, None when it failed.
        reads: ids of the stages that it reads.
        warnings: what it wanted the user to see. error: why it failed, one line.
    """

    id: str
    label: str
    kind: str
    plugin: str
    fingerprint: str
    outcome: str
    seconds: float
    artifact: Path | None
    axes: Mapping[str, str]
    reads: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As in the JSON of a run; `error` is there only for a failed stage."""
        row = {
            "id": self.id,
            "kind": self.kind,
            "plugin": self.plugin,
            "fingerprint": self.fingerprint,
            "outcome": self.outcome,
            "seconds": round(self.seconds, 3),
            "artifact": None if self.artifact is None else str(self.artifact),
        }
        return row if self.error is None else row | {"error": self.error}


@attrs.frozen(kw_only=True)
class Finished:
    """What is done: a run, or an ablation.

    Attributes:
        run_id: its id. nodes: all stages, inputs first. store: the store's folder.
        report: the HTML file, None if it could not be written. result: the JSON object that `--json` prints.
        summaries: variant -> metric -> summary; a variant whose scores failed is absent.
    """

    run_id: str
    nodes: tuple[NodeResult, ...]
    store: Path
    report: Path | None
    result: Mapping[str, Any]
    summaries: Mapping[str, Mapping[str, Summary]]

    @property
    def failed(self) -> tuple[NodeResult, ...]:
        """The stages that failed, or were not run because an input failed."""
        return tuple(node for node in self.nodes if node.outcome == "failed")

    @property
    def ok(self) -> bool:
        """Whether every stage is done."""
        return not self.failed

    def node(self, node_id: str) -> NodeResult:
        """The stage of an id such as `expert[count]`.

        Raises:
            UnknownNameError: with the nearest id.
        """
        for node in self.nodes:
            if node.id == node_id:
                return node
        known = [node.id for node in self.nodes]
        raise UnknownNameError(f"there is no stage '{node_id}'; {did_you_mean(node_id, known)}")

    def artifact(self, node_id: str) -> Path:
        """The artifact folder of a stage.

        Raises:
            UnknownNameError: for an unknown id. StageError: when the stage failed.
        """
        node = self.node(node_id)
        if node.artifact is None:
            raise StageError(f"{node_id} failed: {node.error}")
        return node.artifact

    def prompts(self, node_id: str, /) -> PromptSet:
        """The prompts that a stage stored."""
        return read_prompts(self._typed(node_id, "prompts"))

    def images(self, node_id: str, /) -> tuple[ImageItem, ...]:
        """The images that a stage stored."""
        return read_images(self._typed(node_id, "images"))

    def adapter(self, node_id: str, /) -> Path:
        """The LoRA file that a stage stored."""
        from selma_core.artifacts.adapter import adapter_file

        return adapter_file(self._typed(node_id, "adapter"))

    def scores(self, node_id: str, /) -> ScoreTable:
        """The observations that a stage stored."""
        return read_scores(self._typed(node_id, "scores"))

    def _typed(self, node_id: str, wanted: str) -> Path:
        made = BY_NAME[self.node(node_id).kind].artifact
        if made != wanted:
            raise UserError(f"{node_id} makes {made}, not {wanted}")
        return self.artifact(node_id)


@attrs.frozen(kw_only=True)
class Run(Finished):
    """A finished run. Attributes: recipe = as resolved; the others are those of `Finished`."""

    recipe: Recipe

    @property
    def headline(self) -> str:
        """The metric that the recipe declares, else the first one there is; "" without scores."""
        return headline_of(self.summaries, self.report_settings)

    @property
    def title(self) -> tuple[str, str]:
        """The recipe's name and summary."""
        return self.recipe.name, str(self.recipe.data.get("summary") or "")

    @property
    def report_settings(self) -> Mapping[str, Any]:
        """The recipe's `report` section: `headline`, `baseline`, `compare`, ..."""
        return self._lookup.settings

    @property
    def command(self) -> str:
        """The command line that makes the same run again."""
        return run_command(self.recipe)

    def score_node(self, variant: str, metric: str, /) -> NodeResult | None:
        """The stage that scored a variant in a metric, None when there is none."""
        return self._lookup.score_node(variant, metric)

    def sample_node(self, variant: str, /) -> NodeResult | None:
        """The stage that drew the images of a variant that the headline metric judged, None when there is none."""
        return self._lookup.sample_node(variant, self.headline)

    def judged_prompts(self) -> list[str]:
        """One line per prompt stage that the judged images were drawn from, with its options."""
        return self._lookup.judged_prompts(self.headline)

    @property
    def _lookup(self) -> StageLookup:
        return StageLookup(self.recipe.data, self.nodes)

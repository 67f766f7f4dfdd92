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

if TYPE_CHECKING:
    from selma_core.config import Recipe


@attrs.frozen(kw_only=True)
class NodeResult:
    """One stage of a run.

    Attributes:
        id, label, kind, plugin, fingerprint, axes: of the node.
        outcome: `ran`, `reused` (from the store, or made by an equal stage of this run) or `failed`.
        seconds: in this run. artifact: its folder, None when it failed.
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
class Run:
    """A finished run.

    Attributes:
        run_id: its id. recipe: as resolved. nodes: all stages, inputs first. store: the store's folder.
        report: the HTML file, None if it could not be written. result: the JSON object of `selma run --json`.
        summaries: variant -> metric -> summary; a variant whose scores failed is absent.
    """

    run_id: str
    recipe: Recipe
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

"""Scores as they come: an evaluator that has finished is summarised at once, not at the end of the run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import attrs

from selma_core.artifacts.scores import read_scores
from selma_core.collect import score_nodes, variant_of
from selma_core.events import Event, Scored, StageFinished
from selma_core.scoring import summarise
from selma_core.session import Session

_log = logging.getLogger("selma")


@attrs.frozen
class PartialScores:
    """Passes events on, and a `Scored` after each evaluator that ran.

    Attributes:
        sessions: prefix of the nodes' ids -> session: `{"": session}` of a run, variant -> session of an ablation.
        emit: who hears the events.
        names: (prefix, variant of the recipe) -> the row of an ablation's table that it is.
    """

    sessions: Mapping[str, Session]
    emit: Callable[[Event], None]
    names: Mapping[tuple[str, str], str] = attrs.field(factory=dict)

    def __call__(self, event: Event) -> None:
        """One event."""
        self.emit(event)
        if isinstance(event, StageFinished) and event.kind == "evaluator" and event.outcome == "ran":
            try:
                found = self._scored(event)
            except Exception as error:  # the end of the run says it, with all that is stored
                _log.debug("no partial score of %s: %s", event.node, error)
                return
            if found is not None:
                self.emit(found)

    def _scored(self, event: StageFinished) -> Scored | None:
        prefix, _, name = event.node.partition(":") if "" not in self.sessions else ("", "", event.node)
        session = self.sessions[prefix]
        report = session.recipe.data["report"]
        node = next((node for node in score_nodes(session.graph, report) if node.id == name), None)
        if node is None or event.artifact is None:
            return None
        table = read_scores(event.artifact)
        summary = summarise(session.catalog.build(node.offer, node.bound), table, report.get("rule"))
        own = variant_of(node)
        variant = own if not prefix else self.names.get((prefix, own), f"{prefix}:{own}")
        return Scored(
            run_id=event.run_id,
            node=event.node,
            variant=variant,
            metric=summary.metric,
            rule=summary.rule,
            judge=summary.judge,
            mean=summary.mean,
        )

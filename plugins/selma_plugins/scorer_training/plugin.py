"""The trainer of preference models."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import ScorerTrainerRecord
from selma_plugins.scorer_training.options import PreferenceScorerOptions


@hookimpl
def selma_scorer_trainers() -> Iterator[ScorerTrainerRecord]:
    """Denscore's segment-level preference loss."""
    yield ScorerTrainerRecord(
        name="preference_scorer",
        summary="a CLIP for denscore, from pairs of pictures: preference loss over the sentences of a prompt",
        factory="selma_plugins.scorer_training.trainer:PreferenceScorer",
        options=PreferenceScorerOptions,
        reference="Liu et al. 2024, LongAlign, arXiv 2410.11817; Kirstain et al. 2023, PickScore, arXiv 2305.01569",
    )

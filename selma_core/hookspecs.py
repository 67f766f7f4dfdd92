"""Every hook. A plugin module implements any of them with `selma_core.hookimpl` and yields records.

from selma_core import hookimpl
from selma_core.records import MergeStrategyRecord

@hookimpl
def selma_merge_strategies():
    yield MergeStrategyRecord(name="half", summary="half of the first expert", factory="my_package.half:Half")
"""

from __future__ import annotations

from collections.abc import Iterator

import pluggy

from selma_core import events, records

PROJECT = "selma"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class SelmaSpecs:
    """All hooks. Those that offer something take no argument; those that observe take one frozen record."""

    @hookspec
    def selma_prompt_sources(self) -> Iterator[records.PromptSourceRecord]:
        """Prompt sources (`selma_core.protocols.PromptSource`).

        >>> @hookimpl
        ... def selma_prompt_sources():
        ...     yield PromptSourceRecord(name="haiku", summary="three lines", factory="haiku.source:Haiku")
        """

    @hookspec
    def selma_chat_models(self) -> Iterator[records.ChatModelRecord]:
        """Chat models (`selma_core.protocols.ChatModel`).

        >>> @hookimpl
        ... def selma_chat_models():
        ...     yield ChatModelRecord(name="parrot", summary="repeats the question", factory="parrot.chat:Parrot")
        """

    @hookspec
    def selma_text_encoders(self) -> Iterator[records.TextEncoderRecord]:
        """Text encoders (`selma_core.protocols.TextEncoder`).

        >>> @hookimpl
        ... def selma_text_encoders():
        ...     yield TextEncoderRecord(name="reversed", summary="words backwards", factory="rev.encoder:Reversed")
        """

    @hookspec
    def selma_image_generators(self) -> Iterator[records.ImageGeneratorRecord]:
        """Image generators (`selma_core.protocols.ImageGenerator`).

        >>> @hookimpl
        ... def selma_image_generators():
        ...     yield ImageGeneratorRecord(name="grey", summary="grey squares", factory="grey.images:Grey")
        """

    @hookspec
    def selma_selectors(self) -> Iterator[records.SelectorRecord]:
        """Selectors (`selma_core.protocols.Selector`).

        >>> @hookimpl
        ... def selma_selectors():
        ...     yield SelectorRecord(name="first", summary="the first candidate", factory="first.select:First")
        """

    @hookspec
    def selma_adapter_trainers(self) -> Iterator[records.AdapterTrainerRecord]:
        """Adapter trainers (`selma_core.protocols.AdapterTrainer`).

        >>> @hookimpl
        ... def selma_adapter_trainers():
        ...     yield AdapterTrainerRecord(name="kohya", summary="sd-scripts", factory="kohya.train:Kohya")
        """

    @hookspec
    def selma_merge_strategies(self) -> Iterator[records.MergeStrategyRecord]:
        """Merge strategies (`selma_core.protocols.MergeStrategy`).

        >>> @hookimpl
        ... def selma_merge_strategies():
        ...     yield MergeStrategyRecord(name="half", summary="half of the first", factory="half.merge:Half")
        """

    @hookspec
    def selma_evaluators(self) -> Iterator[records.EvaluatorRecord]:
        """Evaluators (`selma_core.protocols.Evaluator`); `reward` names the differentiable sibling, if there is one.

        >>> @hookimpl
        ... def selma_evaluators():
        ...     yield EvaluatorRecord(name="sharpness", summary="Laplacian", factory="sharp.score:Sharpness",
        ...                           reward="sharp.reward:SharpnessReward")
        """

    @hookspec
    def selma_scorer_trainers(self) -> Iterator[records.ScorerTrainerRecord]:
        """Scorer trainers (`selma_core.protocols.ScorerTrainer`).

        >>> @hookimpl
        ... def selma_scorer_trainers():
        ...     yield ScorerTrainerRecord(name="taste", summary="learns a taste", factory="taste.train:Taste")
        """

    @hookspec
    def selma_executors(self) -> Iterator[records.ExecutorRecord]:
        """Executors (`selma_core.protocols.Executor`).

        >>> @hookimpl
        ... def selma_executors():
        ...     yield ExecutorRecord(name="slurm", summary="one job per stage", factory="slurm.jobs:Slurm")
        """

    @hookspec
    def selma_trackers(self) -> Iterator[records.TrackerRecord]:
        """Trackers (`selma_core.protocols.Tracker`).

        >>> @hookimpl
        ... def selma_trackers():
        ...     yield TrackerRecord(name="csv", summary="one row per event", factory="csvtrack.tracker:Csv")
        """

    @hookspec
    def selma_registry_sources(self) -> Iterator[records.RegistrySourceRecord]:
        """Folders of registry data.

        >>> @hookimpl
        ... def selma_registry_sources():
        ...     yield RegistrySourceRecord(name="mine", path=Path("registry"))
        """

    @hookspec
    def selma_run_started(self, event: events.RunStarted) -> None:
        """A run begins.

        >>> @hookimpl
        ... def selma_run_started(event):
        ...     print(event.run_id, len(event.nodes))
        """

    @hookspec
    def selma_stage_started(self, event: events.StageStarted) -> None:
        """A stage begins to run.

        >>> @hookimpl
        ... def selma_stage_started(event):
        ...     print(event.node)
        """

    @hookspec
    def selma_stage_finished(self, event: events.StageFinished) -> None:
        """A stage ended, was reused, or failed.

        >>> @hookimpl
        ... def selma_stage_finished(event):
        ...     print(event.node, event.outcome, event.seconds)
        """

    @hookspec
    def selma_run_finished(self, event: events.RunFinished) -> None:
        """A run ended.

        >>> @hookimpl
        ... def selma_run_finished(event):
        ...     print(event.result["scores"])
        """

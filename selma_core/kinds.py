"""The one list of kinds that listing, documentation and conformance iterate over."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

from selma_core import protocols, records

R = TypeVar("R", bound=records.Record)


@attrs.frozen(kw_only=True)
class Kind(Generic[R]):
    """One kind of plugin.

    Attributes:
        name: what recipes and the CLI write (`merge_strategy`).
        hook: the hook that yields its records.
        record: the record class. protocol: what the built implementation must satisfy.
        stage: True when a recipe's stage can be of this kind.
        artifact: what such a stage stores (`prompts`, `images`, `adapter`, `scores`, `scorer`), else "".
        ports: input port -> the artifact it takes; a port ending in `?` is optional, in `*` takes one or more.
    """

    name: str
    hook: str
    record: type[R]
    protocol: type
    stage: bool = False
    artifact: str = ""
    ports: tuple[tuple[str, str], ...] = ()


KINDS: tuple[Kind[records.Record], ...] = (
    Kind(
        name="prompt_source",
        hook="selma_prompt_sources",
        record=records.PromptSourceRecord,
        protocol=protocols.PromptSource,
        stage=True,
        artifact="prompts",
    ),
    Kind(
        name="chat_model",
        hook="selma_chat_models",
        record=records.ChatModelRecord,
        protocol=protocols.ChatModel,
    ),
    Kind(
        name="text_encoder",
        hook="selma_text_encoders",
        record=records.TextEncoderRecord,
        protocol=protocols.TextEncoder,
    ),
    Kind(
        name="image_generator",
        hook="selma_image_generators",
        record=records.ImageGeneratorRecord,
        protocol=protocols.ImageGenerator,
        stage=True,
        artifact="images",
        ports=(("prompts*", "prompts"), ("adapter?", "adapter"), ("adapters*?", "adapter")),
    ),
    Kind(
        name="selector",
        hook="selma_selectors",
        record=records.SelectorRecord,
        protocol=protocols.Selector,
        stage=True,
        artifact="images",
        ports=(("images*", "images"), ("scores*?", "scores")),
    ),
    Kind(
        name="adapter_trainer",
        hook="selma_adapter_trainers",
        record=records.AdapterTrainerRecord,
        protocol=protocols.AdapterTrainer,
        stage=True,
        artifact="adapter",
        # which of the first two a trainer reads, and needs, its record says
        ports=(("images*?", "images"), ("prompts*?", "prompts"), ("adapter?", "adapter"), ("scorer?", "scorer")),
    ),
    Kind(
        name="merge_strategy",
        hook="selma_merge_strategies",
        record=records.MergeStrategyRecord,
        protocol=protocols.MergeStrategy,
        stage=True,
        artifact="adapter",
        ports=(("adapters*", "adapter"),),
    ),
    Kind(
        name="evaluator",
        hook="selma_evaluators",
        record=records.EvaluatorRecord,
        protocol=protocols.Evaluator,
        stage=True,
        artifact="scores",
        ports=(("images*", "images"), ("baseline*?", "images"), ("scorer?", "scorer")),
    ),
    Kind(
        name="scorer_trainer",
        hook="selma_scorer_trainers",
        record=records.ScorerTrainerRecord,
        protocol=protocols.ScorerTrainer,
        stage=True,
        artifact="scorer",
        # which of them a trainer needs, its options say (`selma_core.options.Reading`)
        ports=(("images*?", "images"), ("scores*?", "scores")),
    ),
    Kind(
        name="executor",
        hook="selma_executors",
        record=records.ExecutorRecord,
        protocol=protocols.Executor,
    ),
    Kind(
        name="tracker",
        hook="selma_trackers",
        record=records.TrackerRecord,
        protocol=protocols.Tracker,
    ),
)

BY_NAME: dict[str, Kind[records.Record]] = {kind.name: kind for kind in KINDS}

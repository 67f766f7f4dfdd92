"""What a plugin yields: one frozen record per thing it offers. Light: no record imports its implementation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs

_NAME = re.compile(r"^[a-z][a-z0-9_]*$")
_FACTORY = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")


@attrs.frozen
class NoOptions:
    """The options class of a plugin that has none."""


def _matches(pattern: re.Pattern[str], wanted: str) -> Any:
    def check(instance: Any, field: attrs.Attribute[Any], value: str) -> None:
        if not isinstance(value, str) or not pattern.match(value):
            raise ValueError(f"{type(instance).__name__}.{field.name} is {value!r}: must be {wanted}")

    return check


def _is_attrs_class(instance: Any, field: attrs.Attribute[Any], value: Any) -> None:
    if not (isinstance(value, type) and attrs.has(value)):
        raise ValueError(f"{type(instance).__name__}.options is {value!r}: must be an attrs class")


@attrs.frozen(kw_only=True)
class Record:
    """One thing that a plugin offers.

    Attributes:
        name: what recipes write after `use:`; lower case, digits and underscores.
        summary: one line for listings.
        factory: `"package.module:attribute"`, imported on first use and called with the bound options.
        options: attrs class of the options, declared with `selma_core.options`.
        revision: raised by the author whenever the same options give other outputs.
        requires: the extra that installs what it needs (`pip install 'selma[extra]'`), or None.
        reference: paper, equation or URL.
    """

    name: str = attrs.field(validator=_matches(_NAME, "lower case letters, digits, underscores"))
    summary: str
    factory: str = attrs.field(validator=_matches(_FACTORY, "'package.module:attribute'"))
    options: type[Any] = attrs.field(default=NoOptions, validator=_is_attrs_class)
    revision: int = 1
    requires: str | None = None
    reference: str | None = None


@attrs.frozen(kw_only=True)
class PromptSourceRecord(Record):
    """A `selma_core.protocols.PromptSource`: skill -> prompts."""


@attrs.frozen(kw_only=True)
class ChatModelRecord(Record):
    """A `selma_core.protocols.ChatModel`: messages of text and images -> replies."""


@attrs.frozen(kw_only=True)
class TextEncoderRecord(Record):
    """A `selma_core.protocols.TextEncoder`: prompts -> embeddings for a pipeline."""


@attrs.frozen(kw_only=True)
class ImageGeneratorRecord(Record):
    """A `selma_core.protocols.ImageGenerator`: prompts, seeds, an adapter -> images."""


@attrs.frozen(kw_only=True)
class SelectorRecord(Record):
    """A `selma_core.protocols.Selector`: candidates of a prompt -> the ones kept."""


@attrs.frozen(kw_only=True)
class AdapterTrainerRecord(Record):
    """A `selma_core.protocols.AdapterTrainer`: image sets, or prompt sets -> adapter.

    Attributes:
        reads: which of the ports `images` and `prompts` it reads; a stage must give it one of them at least.
    """

    reads: tuple[str, ...] = attrs.field(
        default=("images",), validator=attrs.validators.deep_iterable(attrs.validators.in_(("images", "prompts")))
    )


@attrs.frozen(kw_only=True)
class MergeStrategyRecord(Record):
    """A `selma_core.protocols.MergeStrategy`: adapters -> adapter."""


@attrs.frozen(kw_only=True)
class EvaluatorRecord(Record):
    """A `selma_core.protocols.Evaluator`: images and prompts -> observations -> scores.

    Attributes:
        reward: `"package.module:attribute"` of its differentiable sibling, a `selma_core.protocols.Reward`, called with
            the same options; None when it has none. Trainers get it by the evaluator's name: `Context.reward(slot)`.
        reader: `"package.module:attribute"` of its `selma_core.protocols.AnswersReader`: released answers ->
            observations, for `selma score --answers`; None when it reads none.
    """

    reward: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(_matches(_FACTORY, "'package.module:attribute'"))
    )
    reader: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(_matches(_FACTORY, "'package.module:attribute'"))
    )


@attrs.frozen(kw_only=True)
class ScorerTrainerRecord(Record):
    """A `selma_core.protocols.ScorerTrainer`: scored images -> the model of a scorer."""


@attrs.frozen(kw_only=True)
class ExecutorRecord(Record):
    """A `selma_core.protocols.Executor`: jobs -> receipts."""


@attrs.frozen(kw_only=True)
class TrackerRecord(Record):
    """A `selma_core.protocols.Tracker`: an observer of a run that the user switches on by name."""


@attrs.frozen(kw_only=True)
class RegistrySourceRecord:
    """A folder of registry data: `recipes/ skills/ models/ benchmarks/ ablations/`, each file one entry.

    Attributes:
        name: shown as the provider of the entries.
        path: the folder; sections that are absent are skipped.
    """

    name: str = attrs.field(validator=_matches(_NAME, "lower case letters, digits, underscores"))
    path: Path

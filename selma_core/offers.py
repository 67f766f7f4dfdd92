"""What the catalog holds: offers (a record with its provider) and problems (a quarantined plugin with the reason)."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from selma_core.errors import UserError
from selma_core.kinds import Kind
from selma_core.protocols import Reward
from selma_core.records import EvaluatorRecord, Record, RegistrySourceRecord


@attrs.frozen(kw_only=True)
class Offer:
    """One thing that one plugin offers.

    Attributes:
        kind: its kind. record: what the plugin yielded.
        provider: the distribution's name, or the file name of a single-file plugin.
        version: of the distribution; of a single file the first 12 digits of `source`.
        source: sha256 of the file of a single-file plugin, else None.
        plugin: the name it is registered under: `distribution:entry_point`, or the file's path.
    """

    kind: Kind[Record]
    record: Record
    provider: str
    version: str
    source: str | None = None
    plugin: str = ""

    @property
    def name(self) -> str:
        """The bare name, as recipes write it."""
        return self.record.name

    @property
    def qualified(self) -> str:
        """`provider/name`: unique within a kind."""
        return f"{self.provider}/{self.record.name}"


@attrs.frozen(kw_only=True)
class Problem:
    """A plugin that is not used, and why.

    Attributes:
        provider: the distribution, or the file name. plugin: the name it would be registered under.
        line: one line for the user. trace: traceback for `-v`.
    """

    provider: str
    line: str
    trace: str = ""
    plugin: str = ""


@attrs.frozen(kw_only=True)
class Found:
    """All that one plugin yielded, once every check passed."""

    offers: tuple[Offer, ...] = ()
    sources: tuple[RegistrySourceRecord, ...] = ()


def reward_of(offer: Offer, evaluators: Iterable[Offer]) -> Offer:
    """An evaluator's offer -> the offer that builds its reward, from the same options.

    Args:
        evaluators: all of them, to name those that have a reward.

    Raises:
        UserError: this one has none.
    """
    record = offer.record
    if not isinstance(record, EvaluatorRecord) or record.reward is None:
        others = sorted({o.name for o in evaluators if isinstance(o.record, EvaluatorRecord) and o.record.reward})
        raise UserError(f"evaluator '{offer.name}' has no differentiable reward; those that have: {', '.join(others)}")
    kind = attrs.evolve(offer.kind, name="reward", protocol=Reward, stage=False, artifact="", ports=())
    return attrs.evolve(offer, kind=kind, record=attrs.evolve(record, factory=record.reward))


def reader_of(offer: Offer) -> Offer:
    """An evaluator's offer -> the offer that its `AnswersReader` is loaded from, by the same rules as its factory.

    Raises:
        ValueError: it has none.
    """
    record = offer.record
    if not isinstance(record, EvaluatorRecord) or record.reader is None:
        raise ValueError(f"evaluator '{offer.name}' has no reader")
    return attrs.evolve(offer, record=attrs.evolve(record, factory=record.reader))

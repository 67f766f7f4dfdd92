"""Options of the bundled selectors.

A reward is a metric of the scores that the stage reads (`dsg`, `caption_reward`, ...), under that metric's own rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import attrs

from selma_core.errors import did_you_mean
from selma_core.options import at_least, option, positive

_BLANK = "drop images of one colour, like those of a safety checker"


def _some_once(instance: Any, field: attrs.Attribute[Any], value: Sequence[str]) -> None:
    if not value:
        raise ValueError("needs at least one metric, like [caption_reward, segment_reward]")
    if len(set(value)) < len(value):
        raise ValueError(f"names a metric twice: {', '.join(value)}")


def _share(instance: Any, field: attrs.Attribute[Any], value: float) -> None:
    if not 0 < value <= 1:
        raise ValueError(f"must be above 0 and at most 1, not {value!r}")


def _bounded(instance: Any, field: attrs.Attribute[Any], value: dict[str, float]) -> None:
    if not value:
        raise ValueError("needs at least one metric with its bound, like {dsg: 0.8}")


def _known(what: str, names: Iterable[str], rewards: Iterable[str]) -> None:
    known = list(rewards)
    for name in names:
        if name not in known:
            raise ValueError(f"{what} names '{name}', which is none of the rewards: {did_you_mean(name, known)}")


@attrs.frozen
class BestOfOptions:
    """Options of `best_of`. Exactly one of `metric` and `rewards` is given."""

    metric: str = option("", help="which metric of the scores decides, e.g. dsg")
    rewards: list[str] = option([], help="several metrics instead, combined by mode")
    mode: Literal["sum", "zscore_sum"] = option("sum", help="of rewards: their values, or z-scores within the prompt")
    weights: dict[str, float] = option({}, help="reward -> its weight; 1 where none is given")
    keep: int = option(1, help="images kept per prompt", check=positive)
    lowest: bool = option(False, help="keep the lowest values instead of the highest")
    threshold: float | None = option(None, help="drop images below this value (above it with lowest); null = none")
    top_frac: float = option(1.0, help="share of the prompts kept, best first", check=_share)
    limit: int = option(0, help="prompts kept at most, best first, 0 = all", check=at_least(0))
    drop_blank: bool = option(True, help=_BLANK)

    def __attrs_post_init__(self) -> None:
        if bool(self.metric) == bool(self.rewards):
            raise ValueError("needs one of metric (a name, like dsg) and rewards (a list of names)")
        if len(set(self.rewards)) < len(self.rewards):
            raise ValueError(f"rewards names a metric twice: {', '.join(self.rewards)}")
        _known("weights", self.weights, self.rewards)


@attrs.frozen
class RankAssemblyOptions:
    """Options of `rank_assembly`."""

    rewards: list[str] = option(help="metrics that rank the images of a prompt", check=_some_once)
    weights: dict[str, float] = option({}, help="reward -> weight of its rank; 1 where none is given")
    lowest: list[str] = option([], help="rewards whose lowest value is the best")
    tie_break: list[str] = option([], help="rewards that decide between equal sums, in order; [] = rewards, as written")
    keep: int = option(1, help="images kept per prompt", check=positive)
    top_frac: float = option(1.0, help="share of the prompts kept, lowest rank sums first", check=_share)
    limit: int = option(0, help="prompts kept at most, best first, 0 = all", check=at_least(0))
    drop_blank: bool = option(True, help=_BLANK)
    released: bool = option(False, help="sorted indices in the place of ranks, as the paper's code adds up; to compare")

    def __attrs_post_init__(self) -> None:
        _known("weights", self.weights, self.rewards)
        _known("lowest", self.lowest, self.rewards)
        _known("tie_break", self.tie_break, self.rewards)


@attrs.frozen
class ParetoOptions:
    """Options of `pareto`."""

    rewards: list[str] = option(help="metrics in which no other image may be better", check=_some_once)
    lowest: list[str] = option([], help="rewards whose lowest value is the best")
    keep: int = option(0, help="images kept per prompt at most, lowest rank sums; 0 = the front", check=at_least(0))
    drop_blank: bool = option(True, help=_BLANK)

    def __attrs_post_init__(self) -> None:
        _known("lowest", self.lowest, self.rewards)


@attrs.frozen
class ThresholdOptions:
    """Options of `threshold`."""

    bounds: dict[str, float] = option(help="reward -> the least value of a good image", check=_bounded)
    need: Literal["all", "any"] = option("all", help="whether all bounds must hold, or one")
    lowest: list[str] = option([], help="rewards whose bound is the highest value instead")
    keep: int = option(0, help="images kept per prompt at most, widest margins first; 0 = all", check=at_least(0))
    drop_blank: bool = option(True, help=_BLANK)

    def __attrs_post_init__(self) -> None:
        _known("lowest", self.lowest, self.bounds)

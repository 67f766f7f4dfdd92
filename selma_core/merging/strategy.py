"""A base class for strategies whose options are `MergeOptions`: only `merge_layer` is left to write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from selma_core.errors import UserError
from selma_core.merging.options import MergeOptions

O = TypeVar("O", bound=MergeOptions)  # noqa: E741 - the usual letter for options


class Strategy(Generic[O]):
    """Keeps the options where the driver finds them, and answers `weights` from them."""

    def __init__(self, options: O) -> None:
        self.options = options

    def weights(self, count: int, base: str) -> tuple[float, ...]:
        """1/T each, or the option's."""
        del base
        return given_or_mean(self.options.weights, count)


def given_or_mean(given: Sequence[float] | None, count: int) -> tuple[float, ...]:
    """The given weights, or 1/T each.

    Raises:
        UserError: when their number is not that of the experts.
    """
    if given is None:
        return (1.0 / count,) * count
    if len(given) != count:
        raise UserError(f"weights: {len(given)} given for {count} experts; give one each, or null for the mean")
    return tuple(map(float, given))

"""The weights of a merge."""

from __future__ import annotations

from collections.abc import Sequence

from selma_core.errors import UserError


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

"""What this distribution offers; light, as it is imported for every listing."""

import attrs

from selma_core import hookimpl
from selma_core.options import between, option
from selma_core.records import MergeStrategyRecord


@attrs.frozen
class HalfOptions:
    """Options of `half`."""

    strength: float = option(0.5, help="factor on the mean of the experts", check=between(0, 1))


@hookimpl
def selma_merge_strategies():
    """One strategy."""
    yield MergeStrategyRecord(
        name="half",
        summary="the mean of the experts at part of its strength",
        factory="selma_halfmerge.merge:Half",
        options=HalfOptions,
    )

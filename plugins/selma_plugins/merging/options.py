"""Options of the bundled merge strategies beyond those that all share."""

from __future__ import annotations

import attrs

from selma_core.merging.options import MergeOptions
from selma_core.options import option


@attrs.frozen
class ReleasedOptions(MergeOptions):
    """Options of `selma_released`."""

    model_id: str = option("", help="the id whose length divides; empty = the id of the experts' base model")

"""Options of `shapes_judge`."""

from __future__ import annotations

import attrs

from selma_core.options import entry, option, positive


@attrs.frozen
class JudgeOptions:
    """Options of `shapes_judge`."""

    model: str = entry("models", "shapes_judge", help="the judge's weights")
    encoder: str = entry("models", "shapes_base", help="a model of the world, for its text encoder")
    batch_size: int = option(64, help="images per forward pass", changes_results=False, check=positive)

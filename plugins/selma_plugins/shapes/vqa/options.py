"""Options of `shapes_vqa`."""

from __future__ import annotations

import attrs

from selma_core.options import entry, option, positive


@attrs.frozen
class VqaOptions:
    """Options of `shapes_vqa`."""

    model: str = entry("models", "shapes_vqa", help="the weights")
    batch_size: int = option(64, help="pictures per forward pass", changes_results=False, check=positive)

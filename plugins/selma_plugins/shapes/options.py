"""Options of the world's image generator."""

from __future__ import annotations

import attrs

from selma_core.options import option, positive


@attrs.frozen
class ScenesOptions:
    """Options of `shapes_scenes`."""

    k: int = option(1, help="pictures per prompt", check=positive)

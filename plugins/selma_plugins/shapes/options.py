"""Options of the world's image generator."""

from __future__ import annotations

import attrs

from selma_core.options import between, option, positive


@attrs.frozen
class ScenesOptions:
    """Options of `shapes_scenes`."""

    k: int = option(1, help="pictures per prompt", check=positive)


@attrs.frozen(kw_only=True)
class EyesOptions:
    """Options of `shapes_captioner` and `shapes_segmenter`: how often they err, each image by draws of its own."""

    miss: float = option(0.1, help="share of objects that are not seen", check=between(0, 1))
    wrong: float = option(0.1, help="share of objects whose colour or shape is misread", check=between(0, 1))
    ghost: float = option(
        0.05, help="share of images in which something is seen that is not there", check=between(0, 1)
    )


@attrs.frozen(kw_only=True)
class RaterOptions:
    """Options of `shapes_rater`."""

    unsure: float = option(0.05, help="share of things that are rated 2, whatever the prompt says", check=between(0, 1))

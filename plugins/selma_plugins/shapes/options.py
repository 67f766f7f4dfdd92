"""Options of the world's image generator."""

from __future__ import annotations

from typing import Literal

import attrs

from selma_core.options import at_least, between, option, positive


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


@attrs.frozen
class NarrativeOptions:
    """Options of `shapes_narrative`."""

    n: int = option(1000, help="prompts wanted", check=at_least(1))
    text: Literal["simple", "complex"] = option(
        "complex", help="which of the two is the prompt's text: complex is what the base can draw; both are kept"
    )
    ordinary: float = option(
        0.0,
        help="share of ordinary prompts, simple and complex alike, that the adapter shall leave alone",
        check=between(0, 1),
    )

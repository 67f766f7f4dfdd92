"""Options of the distances."""

from __future__ import annotations

import attrs

from selma_core.options import at_least, entry, option


@attrs.frozen
class KidOptions:
    """Options of `kid`."""

    model: str = entry("models", "clip_vit_l14", help="the CLIP whose image features are compared")
    batch_size: int = option(16, help="images per forward pass on a GPU", changes_results=False, check=at_least(1))


@attrs.frozen
class ShapesKidOptions:
    """Options of `shapes_kid`."""

    model: str = entry("models", "shapes_vqa", help="the network of the shapes world whose features are compared")

"""A simple and a complex prompt of one image: where they stand in a prompt's metadata. Plain data, no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from selma_core.data import ImageItem
from selma_core.errors import UserError

SIMPLE, COMPLEX = "simple", "complex"


@attrs.frozen
class Pair:
    """Attributes: simple = what a user types; complex = what the base follows."""

    simple: str
    complex: str

    def meta(self) -> dict[str, Any]:
        """As fields of a prompt's metadata."""
        return {SIMPLE: self.simple, COMPLEX: self.complex}


def pairs_of(items: Iterable[ImageItem]) -> list[Pair]:
    """The pair of each image, in order.

    Raises:
        UserError: images whose prompts have none; counts them and names the first, before anything is trained.
    """
    every = list(items)
    lacking = [item for item in every if not _has_pair(item)]
    if lacking:
        raise UserError(
            f"{len(lacking)} of {len(every)} images have no pair of a simple and a complex prompt, first: "
            f"'{lacking[0].item_id}'; take prompts of 'surd' or 'shapes_narrative', or caption the images by the "
            f"selector 'caption_pairs'"
        )
    return [Pair(item.prompt.meta[SIMPLE], item.prompt.meta[COMPLEX]) for item in every]


def _has_pair(item: ImageItem) -> bool:
    found = (item.prompt.meta.get(name) for name in (SIMPLE, COMPLEX))
    return all(isinstance(text, str) and text for text in found)

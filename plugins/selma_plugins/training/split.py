"""Which prompts are held out, and which images may be flipped. Plain functions of the data, no torch."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from selma_core.data import ImageItem
from selma_plugins.training.options import TrainingOptions

# A mirrored picture of such a prompt shows something else: sides are swapped, letters reversed.
SIDED = re.compile(
    r"\b(left|right|leftmost|rightmost|clockwise|text|letters?|words?|written|spelled|spells|reads|reading|says|saying)\b",
    re.IGNORECASE,
)


def hold_out(items: Sequence[ImageItem], share: float) -> tuple[list[ImageItem], list[ImageItem]]:
    """(training, held-out) images: the `share` of the prompts with the smallest hashes is held out.

    It depends on the texts only, so an expert and the joint run hold out by one rule. At least one prompt is left for
    training; with `share` above 0 at least one is held out when there are two.
    """
    texts = sorted({item.prompt.text for item in items}, key=_hash)
    count = 0 if share == 0 else min(max(1, round(share * len(texts))), len(texts) - 1)
    held = set(texts[:count])
    return [i for i in items if i.prompt.text not in held], [i for i in items if i.prompt.text in held]


def is_sided(text: str) -> bool:
    """Does a horizontal flip change what the prompt says?"""
    return SIDED.search(text) is not None


def may_flip(item: ImageItem, options: TrainingOptions) -> bool:
    """May this image be mirrored in training?

    The prompt's metadata say `flip: false` where its skill does; prompts without the field may be mirrored.
    """
    prompt = item.prompt
    return (
        options.flip
        and prompt.skill not in options.unflipped_skills
        and (options.flip_all_skills or prompt.meta.get("flip") is not False)
        and (options.flip_sided or not is_sided(prompt.text))
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

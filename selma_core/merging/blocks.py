"""Block weights: one factor for each block of a UNet, in the orders that users of kohya's tools know.

26 values: BASE, IN00-IN11, MID, OUT00-OUT11 (SD 1 and 2). 20 values: BASE, IN00-IN08, MID, OUT00-OUT08 (SDXL).
17 and 12 values: of those, the blocks that attention layers are in. BASE is the text encoder and what lies outside
of the blocks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from selma_core.errors import UserError


def _names(last: int) -> list[str]:
    inner = [f"IN{i:02d}" for i in range(last + 1)]
    return ["BASE", *inner, "MID", *(f"OUT{i:02d}" for i in range(last + 1))]


LAYOUTS: dict[int, list[str]] = {
    26: _names(11),
    20: _names(8),
    17: ["BASE", *(f"IN{i:02d}" for i in (1, 2, 4, 5, 7, 8)), "MID", *(f"OUT{i:02d}" for i in range(3, 12))],
    12: ["BASE", *(f"IN{i:02d}" for i in (4, 5, 7, 8)), "MID", *(f"OUT{i:02d}" for i in range(6))],
}

_DOWN = re.compile(r"^unet\.down_blocks\.(\d+)\.(resnets|attentions|downsamplers)\.(\d+)\.")
_UP = re.compile(r"^unet\.up_blocks\.(\d+)\.(resnets|attentions|upsamplers)\.(\d+)\.")


def block_of(layer: str) -> str:
    """The block of a layer of a UNet with two layers per block: `BASE`, `IN04`, `MID`, `OUT11`.

    Diffusers' down block b holds IN(3b+1), IN(3b+2) and the downsampler IN(3b+3); its up block b holds OUT(3b) to
    OUT(3b+2), the upsampler in the last.
    """
    if layer.startswith("unet.conv_in"):
        return "IN00"
    if layer.startswith("unet.mid_block."):
        return "MID"
    if found := _DOWN.match(layer):
        block, what, index = int(found[1]), found[2], int(found[3])
        return f"IN{3 * block + 3 if what == 'downsamplers' else 3 * block + 1 + index:02d}"
    if found := _UP.match(layer):
        block, what, index = int(found[1]), found[2], int(found[3])
        return f"OUT{3 * block + (2 if what == 'upsamplers' else index):02d}"
    return "BASE"


def block_factors(lists: Sequence[Sequence[float]], layer: str, experts: int) -> tuple[float, ...]:
    """The factor of each expert in a layer.

    Raises:
        UserError: the lists are neither one nor as many as the experts, or have no value for the layer's block.
    """
    if len(lists) not in (1, experts):
        raise UserError(f"block_weights: {len(lists)} lists for {experts} experts; give one for all, or one each")
    rows = list(lists) * (experts if len(lists) == 1 else 1)
    block = block_of(layer)
    return tuple(_factor(row, block, layer) for row in rows)


def _factor(row: Sequence[float], block: str, layer: str) -> float:
    names = LAYOUTS[len(row)]
    if block not in names:
        longer = 26 if len(row) in (17, 26) else 20
        raise UserError(
            f"block_weights: a list of {len(row)} has no value for {block} (layer '{layer}'); give {longer} values"
        )
    return float(row[names.index(block)])

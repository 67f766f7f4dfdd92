"""The settings that every merge strategy can have; the driver applies them, not the strategy."""

from __future__ import annotations

from typing import Any

import attrs

from selma_core.options import option

NORMS = ("none", "linear")
BLOCK_LISTS = (12, 17, 20, 26)


def positive_or_none(instance: object, field: attrs.Attribute[int | None], value: int | None) -> None:
    """attrs validator: null, or a number above zero."""
    if value is not None and value <= 0:
        raise ValueError(f"must be above 0 or null, not {value!r}")


def one_of(*names: str) -> Any:
    """attrs validator: one of these texts."""

    def check(instance: object, field: attrs.Attribute[str], value: str) -> None:
        if value not in names:
            raise ValueError(f"must be one of {', '.join(names)}, not {value!r}")

    return check


def block_lists(instance: object, field: attrs.Attribute[Any], value: list[list[float]] | None) -> None:
    """attrs validator: lists of a length that names a layout of blocks."""
    for row in value or ():
        if len(row) not in BLOCK_LISTS:
            raise ValueError(f"a list has {len(row)} values; give {', '.join(map(str, BLOCK_LISTS))} (see the docs)")


@attrs.frozen
class MergeOptions:
    """The options of a strategy derive from this class, or are it: then the driver does what they say.

    With D(w) the delta of the strategy at weights w, the layer written is `scale * D(w * block weight)`, brought to
    the norm of `sum w_i D_i` where `match_norm` says so, then cut to `rank`.
    """

    weights: list[float] | None = option(None, help="one per expert, in the order of `from`; null = 1/T each")
    scale: float = option(1.0, help="factor on the merged delta")
    block_weights: list[list[float]] | None = option(
        None, help="factors on the weights by block: one list for all experts, or one each", check=block_lists
    )
    match_norm: str = option("none", help="`linear`: rescale each layer to the norm of sum w D", check=one_of(*NORMS))
    rank: int | None = option(None, help="re-compress to this rank; null = exact", check=positive_or_none)

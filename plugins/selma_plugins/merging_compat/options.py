"""Options of the compatibility modes, named after those of the tools."""

from __future__ import annotations

import attrs

from selma_core.merging.options import MergeOptions, one_of, positive_or_none
from selma_core.options import between, option


@attrs.frozen
class PeftOptions(MergeOptions):
    """Options of every `peft_*` mode. `rank` is PEFT's `svd_rank` in those that end in `_svd`."""

    rslora: bool = option(False, help="true: the experts are rsLoRA; PEFT's result is then sqrt(new rank) too large")


@attrs.frozen
class PeftMagnitudeOptions(PeftOptions):
    """Options of the modes that prune by size."""

    density: float = option(
        1.0, help="share of the entries that is kept; 1 = all (PEFT has no default)", check=between(0, 1)
    )


@attrs.frozen
class PeftTiesOptions(PeftMagnitudeOptions):
    """Options of the modes that vote."""

    vote: str = option("total", help="PEFT's majority_sign_method", check=one_of("total", "frequency"))


@attrs.frozen
class PeftDareOptions(PeftTiesOptions):
    """Options of the modes that drop at random."""

    inner: str = option("linear", help="what follows: `linear` or `ties`", check=one_of("linear", "ties"))


@attrs.frozen
class KohyaSvdOptions(MergeOptions):
    """Options of `kohya_svd`."""

    rank: int | None = option(4, help="kohya's --new_rank; null = the largest of the experts", check=positive_or_none)
    clamp: float | None = option(
        0.99,
        help="quantile that the entries are clamped at; null = not",
        check=attrs.validators.optional(between(0, 1)),
    )

"""Options of the bundled merge strategies."""

from __future__ import annotations

import attrs

from selma_core.options import option


def positive_or_none(instance: object, field: attrs.Attribute[int | None], value: int | None) -> None:
    """attrs validator: null, or a number above zero."""
    if value is not None and value <= 0:
        raise ValueError(f"must be above 0 or null, not {value!r}")


@attrs.frozen
class LinearOptions:
    """Options of `linear`."""

    weights: list[float] | None = option(None, help="one per expert, in the order of `from`; null = 1/T each")
    scale: float = option(1.0, help="factor on the whole sum")
    rank: int | None = option(None, help="re-compress to this rank; null = exact", check=positive_or_none)


@attrs.frozen
class ParamMeanOptions:
    """Options of `param_mean`."""

    weights: list[float] | None = option(None, help="one per expert, in the order of `from`; null = 1/T each")


@attrs.frozen
class ReleasedOptions:
    """Options of `selma_released`."""

    model_id: str = option("", help="the id whose length divides; empty = the id of the experts' base model")

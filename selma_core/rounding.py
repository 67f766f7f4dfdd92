"""How many decimals the numbers of a metric are shown with: per cent need one, cosines three."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def decimals(values: Iterable[float | None]) -> int:
    """1 where the largest number is 10 or more (per cent), 2 from 1 on, 3 from a tenth on, else 4."""
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    return 1 if largest >= 10 or largest == 0 else 2 if largest >= 1 else 3 if largest >= 0.1 else 4


def decimals_by_metric(scores: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, int]:
    """The decimals of each metric of `scores` (variant -> metric -> score with `mean`), alike for all variants."""
    metrics = {metric for found in scores.values() for metric in found}
    return {name: decimals(found[name]["mean"] for found in scores.values() if name in found) for name in metrics}

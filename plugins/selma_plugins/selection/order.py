"""How the values of one prompt's candidates are brought into an order. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean


def ranks(values: Sequence[float], *, lowest: bool = False) -> list[float]:
    """The place of each value, 0 for the best, ties averaged: [.1, .9, .5] -> [2, 0, 1], [3, 3, 1] -> [.5, .5, 2].

    Args: lowest = the lowest value is the best.
    """
    sign = 1.0 if lowest else -1.0
    ordered = sorted(sign * value for value in values)
    first = {value: place for place, value in reversed(list(enumerate(ordered)))}
    last = {value: place for place, value in enumerate(ordered)}
    return [(first[sign * value] + last[sign * value]) / 2 for value in values]


def sorted_indices(values: Sequence[float]) -> list[float]:
    """What the released FineRewards code adds up in the place of ranks: the indices that would sort the values.

    Ascending, so [.1, .9, .5] -> [0, 2, 1]: a place in that list says nothing of the image at the same place.
    """
    return [float(index) for index in sorted(range(len(values)), key=lambda index: values[index])]


def zscores(values: Sequence[float]) -> list[float]:
    """Each value's distance from the mean in standard deviations of these values; zeros where all are equal."""
    mean = fmean(values)
    spread = math.sqrt(fmean([(value - mean) ** 2 for value in values]))
    return [(value - mean) / spread if spread > 0 else 0.0 for value in values]


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """Indices of the points that no other dominates: as good in everything and better in something. More is better."""
    return [i for i, point in enumerate(points) if not any(_dominates(other, point) for other in points)]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True)) and any(a > b for a, b in zip(one, other, strict=True))

"""Several tests at once: p values adjusted for a declared family, q values for exploring many."""

from __future__ import annotations

from collections.abc import Sequence


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the order given: the chance of any false finding stays below the level."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    adjusted = [0.0] * len(ps)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = largest
    return adjusted


def benjamini_hochberg(ps: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's step-up q values, in the order given: of the findings below a level, at most that share
    is expected to be false. For exploring categories, not for headlines."""
    order = sorted(range(len(ps)), key=lambda i: ps[i], reverse=True)
    adjusted = [0.0] * len(ps)
    smallest = 1.0
    for rank, index in enumerate(order):
        smallest = min(smallest, ps[index] * len(ps) / (len(ps) - rank))
        adjusted[index] = smallest
    return adjusted

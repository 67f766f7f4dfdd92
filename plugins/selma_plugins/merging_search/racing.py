"""Racing: a generation of candidates on ever more prompts, the worse half out at every rung. Pure, no torch.

All candidates see the same prompts with the same noise, so their differences are far less noisy than their scores, and
a bad one is known after a few prompts. It is successive halving (arXiv 1502.07943) inside each generation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import attrs

Weights = tuple[float, ...]
Measure = Callable[[Weights, int], float]


@attrs.frozen
class Lap:
    """One measurement. Attributes: prompts = how many it was over; value = what is maximised."""

    weights: Weights
    prompts: int
    value: float


def sizes(total: int, rungs: Sequence[float]) -> list[int]:
    """Prompts per rung, growing, the last one all of them."""
    return sorted({max(1, math.ceil(total * min(share, 1.0))) for share in rungs} | {total})


def race(candidates: Sequence[Weights], measure: Measure, steps: Sequence[int]) -> tuple[list[float], list[Lap]]:
    """Races candidates.

    Args:
        measure: (weights, first n prompts) -> value, higher is better.

    Returns:
        A cost per candidate, lower is better: their places (0 the winner), since values from different rungs cannot
        be compared; and every measurement made.
    """
    alive = list(range(len(candidates)))
    places: list[int] = []
    laps: list[Lap] = []
    for number, prompts in enumerate(steps):
        values = {i: measure(candidates[i], prompts) for i in alive}
        laps += [Lap(candidates[i], prompts, values[i]) for i in alive]
        alive.sort(key=lambda i: -values[i])  # stable: equals stay in order
        keep = len(alive) if number == len(steps) - 1 else max(1, math.ceil(len(alive) / 2))
        places = alive[keep:] + places
        alive = alive[:keep]
    ranked = alive + places
    return [float(ranked.index(i)) for i in range(len(candidates))], laps

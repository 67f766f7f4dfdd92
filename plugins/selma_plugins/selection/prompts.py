"""Which prompts are kept when not all are: those whose best image is best."""

from __future__ import annotations

import math
from collections.abc import Mapping


def kept_prompts(best: Mapping[str, float], *, top_frac: float, limit: int, worst_first: bool = False) -> set[str]:
    """The best share of the prompts, `limit` of them at most. Equals are taken in order.

    Args:
        best: prompt id -> value of its best image, more is better; only prompts that have one.
        top_frac: share in (0, 1], rounded up. limit: 0 = no limit.
        worst_first: the wrong end, as the released FineRewards code sorts.
    """
    count = math.ceil(top_frac * len(best) - 1e-9)
    count = min(count, limit) if limit else count
    sign = 1.0 if worst_first else -1.0
    return set(sorted(best, key=lambda prompt: sign * best[prompt])[:count])

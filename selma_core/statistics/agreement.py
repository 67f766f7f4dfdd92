"""How far raters agree beyond chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence


def krippendorff_alpha(units: Iterable[Sequence[Hashable]]) -> float | None:
    """Krippendorff's alpha for nominal categories: 1 is full agreement, 0 what chance gives, below 0 is worse.

    Args:
        units: the ratings that each unit got, by whichever raters; units with fewer than two say nothing.

    Returns:
        alpha; None when no unit has two ratings, or when all ratings are of one category (chance alone agrees too).

    Source: Krippendorff 2011, Computing Krippendorff's alpha-reliability, section C.
    """
    disagreeing, pairable = 0.0, 0
    totals: Counter[Hashable] = Counter()
    for ratings in units:
        if len(ratings) < 2:
            continue
        here = Counter(ratings)
        pairable += len(ratings)
        totals.update(here)
        same = sum(count * (count - 1) for count in here.values())
        disagreeing += (len(ratings) * (len(ratings) - 1) - same) / (len(ratings) - 1)
    expected = pairable**2 - sum(count**2 for count in totals.values())
    if expected == 0:
        return None
    return 1.0 - (pairable - 1) * disagreeing / expected

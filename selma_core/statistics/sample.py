"""One value per prompt, with weights and strata, and the mean they stand for."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@attrs.frozen(eq=False)
class Sample:
    """One value per prompt.

    Attributes:
        x: values [n]. w: weights [n], above 0.
        strata: positions of each stratum's prompts. The mean is the mean of the strata's (weighted) means.
    """

    x: Floats
    w: Floats
    strata: tuple[NDArray[np.int64], ...]

    @property
    def shares(self) -> Floats:
        """What each value counts for in the mean [n]; they sum to 1."""
        found = np.empty_like(self.w)
        for members in self.strata:
            found[members] = self.w[members] / self.w[members].sum() / len(self.strata)
        return found

    @property
    def mean(self) -> float:
        """The mean of the strata's means; of all values where there is one stratum."""
        return float(np.sum(self.shares * self.x))

    @property
    def influence(self) -> Floats:
        """How far each value pulls the mean [n]: its share times its distance from its own stratum's mean."""
        found = np.empty_like(self.x)
        for members in self.strata:
            x, w = self.x[members], self.w[members]
            found[members] = w * (x - np.sum(w * x) / w.sum()) / w.sum() / len(self.strata)
        return found

    @property
    def standard_error(self) -> float | None:
        """Of the mean, by linearising the ratio; std / sqrt(n) for equal weights. None when a stratum has one value."""
        if any(members.size < 2 for members in self.strata):
            return None
        pull = self.influence
        variances = [np.sum(pull[m] ** 2) * m.size / (m.size - 1) for m in self.strata]
        return float(np.sqrt(np.sum(variances)))


def make_sample(
    values: Sequence[float], weights: Sequence[float] | None = None, strata: Sequence[Hashable] | None = None
) -> Sample:
    """Checks the numbers and sorts them into strata.

    Raises:
        ValueError: no values, one that is not finite, a weight that is not above 0, not one stratum per value.
    """
    x = np.asarray(values, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    if x.ndim != 1 or x.size == 0:
        raise ValueError("no prompts to take a mean over")
    if w.shape != x.shape or not np.all(w > 0):
        raise ValueError("weights must be above 0, one per value")
    if not np.all(np.isfinite(x)):
        raise ValueError("a value is not finite")
    names = [None] * x.size if strata is None else list(strata)
    if len(names) != x.size:
        raise ValueError("strata must be one per value")
    found: dict[Hashable, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(name, []).append(place)
    return Sample(x, w, tuple(np.asarray(members, dtype=np.int64) for members in found.values()))

"""Intervals, paired comparisons, families of tests, agreement. The resampling unit is the prompt.

All images, samples and questions of a prompt move together. Differences between two variants are taken prompt by
prompt, on the prompts both have: the same prompts and seeds make most of the noise cancel. Everything is deterministic
in `seed`. numpy alone; tests compare with scipy.
"""

from __future__ import annotations

from selma_core.statistics.agreement import krippendorff_alpha
from selma_core.statistics.comparison import MDE_FACTOR, Comparison, paired
from selma_core.statistics.families import benjamini_hochberg, holm
from selma_core.statistics.hierarchy import hierarchical, t_quantile, two_way_mean
from selma_core.statistics.intervals import Interval, Method, bootstrap_mean
from selma_core.statistics.resampling import RESAMPLES
from selma_core.statistics.sample import make_sample

__all__ = [
    "MDE_FACTOR",
    "RESAMPLES",
    "Comparison",
    "Interval",
    "Method",
    "benjamini_hochberg",
    "bootstrap_mean",
    "hierarchical",
    "holm",
    "krippendorff_alpha",
    "make_sample",
    "paired",
    "t_quantile",
    "two_way_mean",
]

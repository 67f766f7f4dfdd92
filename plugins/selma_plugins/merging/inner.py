"""Elementwise methods by name, for strategies that apply one in other coordinates."""

from __future__ import annotations

from selma_plugins.merging.options import InnerOptions
from selma_plugins.merging.ties_rules import SELMA, Rule
from selma_plugins.merging.trims import Band, Drop, RankedDrop, Trim


def rule_of(inner: str) -> Rule | None:
    """TIES for `ties` and `*_ties`; None = a weighted sum."""
    return SELMA if inner.endswith("ties") else None


def trim_of(options: InnerOptions) -> Trim | None:
    """What drops entries; None for `linear`."""
    name, density = options.inner.removesuffix("_ties"), options.density
    trims: dict[str, Trim | None] = {
        "linear": None,
        "ties": Band(density),
        "magnitude": Band(density),
        "breadcrumbs": Band(density, options.gamma),
        "dare": Drop(density),
        "della": RankedDrop(density, options.eps),
    }
    return trims[name]

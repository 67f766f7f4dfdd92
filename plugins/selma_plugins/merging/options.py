"""Options of the bundled merge strategies beyond those that all share."""

from __future__ import annotations

import attrs

from selma_core.merging.options import MergeOptions, one_of
from selma_core.options import at_least, between, option

CUTS = ("fixed", "sv_ratio", "sv_cumulative", "sv_fro")
ROUTES = ("auto", "gram_core", "qr", "thin", "gram", "randomized")
VARIANTS = ("selma", "peft", "paper", "sd-mecha")
COUNTING = ("peft", "sd-mecha")
INNER = ("linear", "ties", "magnitude", "breadcrumbs", "breadcrumbs_ties", "dare", "dare_ties", "della", "della_ties")


def _vote(instance: object, field: attrs.Attribute[str | None], value: str | None) -> None:
    if value not in (None, "total", "frequency"):
        raise ValueError(f"must be total, frequency or null, not {value!r}")


@attrs.frozen
class ReleasedOptions(MergeOptions):
    """Options of `selma_released`."""

    model_id: str = option("", help="the id whose length divides; empty = the id of the experts' base model")


@attrs.frozen
class SvdOptions(MergeOptions):
    """Options of `svd`."""

    k: float | None = option(None, help="`fixed`: the rank (null = the experts' largest); else the value of `by`")
    by: str = option(
        "fixed",
        help="`sv_ratio`: S_0/S_j < k; `sv_cumulative`: share k of sum S; `sv_fro`: share k of |D| (energy k^2)",
        check=one_of(*CUTS),
    )
    route: str = option(
        "auto", help="auto, gram_core, qr, thin, gram (exact), randomized (1 % off)", check=one_of(*ROUTES)
    )
    cache_mb: int = option(
        0,
        help="memory for decompositions that further weights of the same experts use again, in one process",
        changes_results=False,
        check=at_least(0),
    )

    def __attrs_post_init__(self) -> None:
        if self.by != "fixed" and self.route == "randomized":
            raise ValueError(f"route 'randomized' sees the first k directions only; '{self.by}' needs all: route: auto")
        if self.k is None:
            if self.by != "fixed":
                raise ValueError(f"by: {self.by} needs a 'k'")
        elif self.by == "fixed" and (self.k < 0 or self.k != int(self.k)):
            raise ValueError(f"k must be a whole rank of at least 0, not {self.k}; for a share of |D|, by: sv_fro")
        elif self.by == "sv_ratio" and self.k < 1:
            raise ValueError(f"k of sv_ratio is S_0/S_j and so at least 1, not {self.k}")
        elif self.by in ("sv_cumulative", "sv_fro") and not 0 < self.k <= 1:
            raise ValueError(f"k of {self.by} is a share above 0 and up to 1, not {self.k}")


@attrs.frozen
class DensityOptions(MergeOptions):
    """Options of a method that drops entries."""

    density: float = option(0.5, help="share of the entries of each delta that is kept", check=between(0, 1))
    max_bytes: int = option(
        2**28,
        help="keep the T trimmed deltas of a layer up to this size; beyond it, ties forms them twice",
        changes_results=False,
        check=at_least(0),
    )


@attrs.frozen
class TiesOptions(DensityOptions):
    """Options of `ties`."""

    variant: str = option("selma", help="selma, peft, paper or sd-mecha", check=one_of(*VARIANTS))
    vote: str | None = option(
        None,
        help="`total` (sum of values) or `frequency` (of signs) in peft and sd-mecha; null = their default",
        check=_vote,
    )
    scope: str = option(
        "layer", help="what `density` is a share of: each layer, or the whole model", check=one_of("layer", "model")
    )

    def __attrs_post_init__(self) -> None:
        if self.vote is not None and self.variant not in COUNTING:
            raise ValueError(f"variant '{self.variant}' has one way to vote; 'vote' is for {' and '.join(COUNTING)}")


@attrs.frozen
class SparseOptions(DensityOptions):
    """Options of a method that drops entries and then merges by another."""

    inner: str = option("linear", help="what merges the kept entries: linear or ties", check=one_of("linear", "ties"))


@attrs.frozen
class DropOptions(SparseOptions):
    """Options of a method that drops entries at random."""

    rescale: str = option(
        "expectation",
        help="`expectation`: divide by the keep probability; `l1`: scale to the sum of |D| before, as mergekit",
        check=one_of("expectation", "l1"),
    )


@attrs.frozen
class DellaOptions(DropOptions):
    """Options of `della`."""

    eps: float = option(0.15, help="half the range of the keep probability within a row", check=at_least(0))

    def __attrs_post_init__(self) -> None:
        _range(self.density, self.eps)


@attrs.frozen
class BreadcrumbsOptions(SparseOptions):
    """Options of `breadcrumbs`."""

    gamma: float = option(0.01, help="share of the largest entries that is dropped too", check=between(0, 1))

    def __attrs_post_init__(self) -> None:
        _band(self.density, self.gamma)


@attrs.frozen
class InnerOptions(DensityOptions):
    """Options of a method that changes the coordinates, and there merges by another."""

    inner: str = option("ties", help=f"what merges the coordinates: {', '.join(INNER)}", check=one_of(*INNER))
    eps: float = option(0.15, help="of inner: della", check=at_least(0))
    gamma: float = option(0.01, help="of inner: breadcrumbs", check=between(0, 1))

    def __attrs_post_init__(self) -> None:
        if self.inner.startswith("della"):
            _range(self.density, self.eps)
        if self.inner.startswith("breadcrumbs"):
            _band(self.density, self.gamma)


@attrs.frozen
class CoreOptions(DensityOptions):
    """Options of `core`."""

    inner: str = option("ties", help="linear, ties or dare", check=one_of("linear", "ties", "dare"))
    basis: str = option(
        "svd",
        help="`svd`: of the experts' deltas; `factors`: of their stacked factors, as the published code",
        check=one_of("svd", "factors"),
    )


@attrs.frozen
class IsoOptions(MergeOptions):
    """Options of `iso_c`."""

    denominator: str = option(
        "rank", help="`rank`: number of singular values above 0; `full`: min(m, n)", check=one_of("rank", "full")
    )


@attrs.frozen
class CartOptions(MergeOptions):
    """Options of `cart`."""

    share: float = option(0.04, help="rank k of a deviation, as a share of min(m, n)", check=between(0, 1))
    lam: float = option(0.1, help="factor on the deviations")


def _range(density: float, eps: float) -> None:
    if not (density - eps > 0 and density + eps < 1):
        raise ValueError(
            f"density {density} with eps {eps}: keep probabilities {density} ± {eps} must be in (0, 1); lower eps"
        )


def _band(density: float, gamma: float) -> None:
    if density + gamma > 1:
        raise ValueError(f"density {density} and gamma {gamma} add up to more than 1; lower one (density 1: gamma 0)")

"""`breadcrumbs`: drop the largest and the smallest entries of each delta, then merge."""

from __future__ import annotations

from selma_plugins.merging.claims import INDEPENDENCE, LINEAR_IN_WEIGHTS, USUAL
from selma_plugins.merging.elementwise import Elementwise
from selma_plugins.merging.options import BreadcrumbsOptions
from selma_plugins.merging.trims import Band, Trim


class Breadcrumbs(Elementwise):
    """x_i = D_i without its int(gamma m n) largest entries, of the rest the int(density m n) largest; D = sum w_i x_i.

    Davari & Belilovsky, Model Breadcrumbs (arXiv 2312.06795), here per layer; `inner: ties` merges the x_i by TIES.
    int(gamma m n) = 0 drops nothing at the top.

    Claims: permutation, gauge_invariance, missing_layers, determinism, independence, weight_linearity, homogeneity,
    oddness. With density 1 and gamma 0 it is `linear`, and claims what `linear` does.
    """

    options: BreadcrumbsOptions
    claims = USUAL | LINEAR_IN_WEIGHTS | {INDEPENDENCE}

    def trim(self) -> Trim:
        """The band between the two."""
        return Band(self.options.density, self.options.gamma)

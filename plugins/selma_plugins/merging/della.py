"""`della`: as `dare`, but large entries are kept with a higher probability."""

from __future__ import annotations

from selma_plugins.merging.claims import EXPECTATION, INDEPENDENCE, LINEAR_IN_WEIGHTS, USUAL
from selma_plugins.merging.elementwise import Elementwise
from selma_plugins.merging.options import DellaOptions
from selma_plugins.merging.trims import RankedDrop, Trim


class Della(Elementwise):
    """Per row, rank 0..n-1 by |D_i|: p = (density - eps) + 2 eps rank / (n - 1); x_i = D_i M_i / p, M_i ~ Bernoulli(p).

    Deep et al., DELLA-Merging (arXiv 2406.11617); then D = sum w_i x_i, or TIES with `inner: ties`. Divides
    by p entry by entry, as the paper; with `rescale: l1` scales once, to the sum of |D_i|, as mergekit. All p must be
    within (0, 1).

    Claims: permutation, gauge_invariance, missing_layers, determinism, independence, weight_linearity, homogeneity,
    oddness, expectation. With `inner: ties` only those of `ties`; with `l1` not expectation.
    """

    options: DellaOptions
    claims = USUAL | LINEAR_IN_WEIGHTS | {INDEPENDENCE, EXPECTATION}

    def trim(self) -> Trim:
        """A mask of the expert's own."""
        return RankedDrop(self.options.density, self.options.eps, self.options.rescale == "l1")

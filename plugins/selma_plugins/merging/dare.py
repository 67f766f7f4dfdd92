"""`dare`: drop entries of each delta at random and rescale the rest, then merge."""

from __future__ import annotations

from selma_plugins.merging.claims import EXPECTATION, INDEPENDENCE, LINEAR_IN_WEIGHTS, USUAL
from selma_plugins.merging.elementwise import Elementwise
from selma_plugins.merging.options import DropOptions
from selma_plugins.merging.trims import Drop, Trim


class Dare(Elementwise):
    """x_i = D_i M_i / density, M_i ~ Bernoulli(density); D = sum w_i x_i, or TIES of the x_i with `inner: ties`.

    Yu et al., DARE (arXiv 2311.03099). The variance of an entry is w_i^2 D_i^2 (1 - density) / density.
    Masks depend on seed, expert, layer and shape only. `rescale: l1` scales what is kept to the sum of |D_i| instead,
    as mergekit does: then the mean over seeds is no longer D_i.

    Claims: permutation, gauge_invariance, missing_layers, determinism, independence, weight_linearity, homogeneity,
    oddness, expectation. With `inner: ties` only those of `ties`; with `l1` not expectation; with density 1 what its
    inner method claims.
    """

    options: DropOptions
    claims = USUAL | LINEAR_IN_WEIGHTS | {INDEPENDENCE, EXPECTATION}

    def trim(self) -> Trim:
        """A mask of the expert's own."""
        return Drop(self.options.density, self.options.rescale == "l1")

"""`iso_c`: the sum of the deltas, with all its singular values made equal."""

from __future__ import annotations

from selma_core.merging.algebra import concatenate, present, spectrum
from selma_core.merging.strategy import Strategy
from selma_core.protocols import Factors, LayerJob
from selma_plugins.merging.claims import HOMOGENEITY, INDEPENDENCE, ODDNESS, USUAL
from selma_plugins.merging.options import IsoOptions


class IsoC(Strategy[IsoOptions]):
    """sum w_i D_i = U S V of rank q; D = (sum S / q) U V.

    Marczak et al., Iso-C (arXiv 2502.04959). The published code divides by min(m, n) instead of q and so
    multiplies vectors that the SVD routine chose for the null space; `denominator: full` divides the same way, without
    those vectors. It also sums where this takes the weighted mean: `scale: T` gives its scale.

    Claims: permutation, gauge_invariance, missing_layers, determinism, independence, homogeneity, oddness.
    Not the scale contract: T copies of D give the isotropic version of D.
    """

    claims = USUAL | {INDEPENDENCE, HOMOGENEITY, ODDNESS}

    def merge_layer(self, job: LayerJob) -> Factors | None:
        """A zero sum stays zero."""
        terms = present(job)
        if not terms:
            return None
        total = concatenate(terms)
        u, s, v = spectrum(total)
        shorter = min(total.up.shape[0], total.down.shape[1])
        level = s.sum() / (shorter if self.options.denominator == "full" else len(s))
        return Factors(up=u * level, down=v)

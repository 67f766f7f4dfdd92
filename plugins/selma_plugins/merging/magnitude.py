"""`magnitude`: keep the largest entries of each delta, then merge."""

from __future__ import annotations

from selma_plugins.merging.claims import INDEPENDENCE, LINEAR_IN_WEIGHTS, USUAL
from selma_plugins.merging.elementwise import Elementwise
from selma_plugins.merging.options import SparseOptions
from selma_plugins.merging.trims import Band, Trim


class Magnitude(Elementwise):
    """x_i = the int(density m n) largest |D_i| (equal ones at the threshold all stay); D = sum w_i x_i, or TIES of x_i.

    `magnitude_prune` of PEFT in delta space. With `inner: ties` it is `ties`.

    Claims: permutation, gauge_invariance, missing_layers, determinism, independence, weight_linearity, homogeneity,
    oddness. With density 1 it is `linear`, and claims what `linear` does.
    """

    options: SparseOptions
    claims = USUAL | LINEAR_IN_WEIGHTS | {INDEPENDENCE}

    def trim(self) -> Trim:
        """The largest of the layer."""
        return Band(self.options.density)

"""`knots`: merges the experts' coordinates in the basis of all that they write to."""

from __future__ import annotations

from selma_core.merging.strategy import Strategy
from selma_core.protocols import Factors, LayerJob
from selma_plugins.merging.claims import ODDNESS, USUAL
from selma_plugins.merging.elementwise import merge_parts
from selma_plugins.merging.inner import rule_of, trim_of
from selma_plugins.merging.options import InnerOptions
from selma_plugins.merging.stacked import column_space


class Knots(Strategy[InnerOptions]):
    """[D_1 ... D_T] = U S [V_1 ... V_T]; D = U inner(S V_1, ..., S V_T).

    Stoica et al., KnOTS (arXiv 2410.19735). Only U is computed, from B_i and the triangle of A_i; the
    coordinates S V_i = (U' B_i) A_i are q x n, q the rank of all experts together. Singular values that are rounding
    are cut relative to the largest (the published code: at 1e-5, whatever the scale). Inner `linear` is `linear`.

    Claims: permutation, gauge_invariance, missing_layers, determinism, oddness.
    Otherwise those of the inner method, except independence: an expert of weight 0 still turns the basis.
    """

    claims = USUAL | {ODDNESS}

    def merge_layer(self, job: LayerJob) -> Factors | None:
        """Of rank q."""
        here = [part for part in job.experts if part is not None]
        if not here:
            return None
        basis = column_space(here)
        inside = [None if part is None else Factors(up=basis.T @ part.up, down=part.down) for part in job.experts]
        merged = merge_parts(job, inside, trim_of(self.options), rule_of(self.options.inner), self.options.max_bytes)
        return None if merged is None else Factors(up=basis, down=merged)

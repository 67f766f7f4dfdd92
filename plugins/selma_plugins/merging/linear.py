"""`linear`: D = sum w_i B_i A_i. With weights 1/T it is SELMA's merge: the mean of what the experts do."""

from __future__ import annotations

from selma_core.merging.algebra import concatenate, present
from selma_core.merging.options import MergeOptions
from selma_core.merging.strategy import Strategy
from selma_core.protocols import Factors, LayerJob
from selma_plugins.merging.claims import EXACT


class Linear(Strategy[MergeOptions]):
    """Exact by concatenation along the rank: the merged rank is the sum of the ranks.

    Claims: permutation, gauge_invariance, missing_layers, determinism, identity, idempotence, weight_linearity,
    homogeneity, oddness, equals_linear, independence, expectation, optimality.
    """

    claims: frozenset[str] = EXACT
    averages_encoders = True

    def merge_layer(self, job: LayerJob) -> Factors | None:
        """A layer that an expert lacks counts as a zero delta: the other weights stay as they are."""
        terms = present(job)
        return concatenate(terms) if terms else None

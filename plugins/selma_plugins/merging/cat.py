"""`cat`: the experts' factors side by side, exact, of rank sum r_i."""

from __future__ import annotations

import torch

from selma_core.merging.algebra import present
from selma_core.merging.options import MergeOptions
from selma_core.merging.strategy import Strategy
from selma_core.protocols import Factors, LayerJob
from selma_plugins.merging.claims import EXACT


class Cat(Strategy[MergeOptions]):
    """B = [B_1 ... B_T], A = [w_1 A_1; ...; w_T A_T]: the same delta as `linear`, the B of the experts unchanged.

    `cat` of PEFT's `add_weighted_adapter`.

    Claims: permutation, gauge_invariance, missing_layers, determinism, identity, idempotence, weight_linearity,
    homogeneity, oddness, equals_linear, independence, expectation, optimality.
    """

    claims = EXACT

    def merge_layer(self, job: LayerJob) -> Factors | None:
        """A layer that an expert lacks adds no rank."""
        terms = present(job)
        if not terms:
            return None
        return Factors(
            up=torch.cat([part.up for _, part in terms], dim=1), down=torch.cat([w * part.down for w, part in terms])
        )

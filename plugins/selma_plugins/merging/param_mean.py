"""`param_mean`: A = sum w_i A_i and B = sum w_i B_i, apart. B A then holds cross terms w_i w_j B_i A_j."""

from __future__ import annotations

import torch

from selma_core.merging.algebra import present
from selma_core.merging.options import MergeOptions
from selma_core.merging.strategy import Strategy
from selma_core.protocols import Factors, LayerJob
from selma_plugins.merging.claims import CONTRACT, GAUGE_INVARIANCE, INDEPENDENCE, USUAL


class ParamMean(Strategy[MergeOptions]):
    """Equals `linear` only where all A_i (or all B_i) are equal.

    Claims: permutation, missing_layers, determinism, identity, idempotence, independence.
    Not weight_linearity: twice the weights are four times the delta. Not gauge_invariance: B_i A_i does not say what
    B_i and A_i are.
    """

    claims = (USUAL | CONTRACT | {INDEPENDENCE}) - {GAUGE_INVARIANCE}

    def merge_layer(self, job: LayerJob) -> Factors | None:
        """A lower rank is padded with zeros; a layer that an expert lacks counts as zero factors."""
        terms = present(job)
        if not terms:
            return None
        rank = max(part.down.shape[0] for _, part in terms)
        ups = torch.stack([w * _padded(part.up, 1, rank) for w, part in terms])
        downs = torch.stack([w * _padded(part.down, 0, rank) for w, part in terms])
        return Factors(up=ups.sum(0), down=downs.sum(0))


def _padded(factor: torch.Tensor, axis: int, rank: int) -> torch.Tensor:
    missing = list(factor.shape)
    missing[axis] = rank - factor.shape[axis]
    return torch.cat([factor, factor.new_zeros(missing)], dim=axis)

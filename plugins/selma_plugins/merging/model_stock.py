"""`model_stock`: the mean, shortened by how much the experts disagree in direction."""

from __future__ import annotations

import math
from collections.abc import Sequence

from selma_core.merging.algebra import concatenate, inner, present
from selma_core.merging.options import MergeOptions
from selma_core.merging.strategy import Strategy
from selma_core.protocols import Factors, LayerJob
from selma_plugins.merging.claims import CONTRACT, LINEAR_IN_WEIGHTS, USUAL


class ModelStock(Strategy[MergeOptions]):
    """c = mean over pairs of cos(D_i, D_j); t = T c / (1 + (T - 1) c), clamped to [0, 1]; D = t sum w_i D_i.

    Jang et al., Model Stock (arXiv 2403.19522). Nearly orthogonal experts give t near 0, which is the base
    model; the layer's `norm_ratio` in the card is t, so a value below 0.2 there says that little is left. An expert
    without a delta in a layer has no direction: it counts neither for c nor for T. One expert: t = 1.

    Claims: permutation, gauge_invariance, missing_layers, determinism, identity, idempotence, weight_linearity,
    homogeneity, oddness.
    """

    claims = USUAL | CONTRACT | LINEAR_IN_WEIGHTS

    def merge_layer(self, job: LayerJob) -> Factors | None:
        """Cosines from the factors; the deltas are not formed."""
        terms = present(job)
        if not terms:
            return None
        factor = ratio([part for _, part in terms])
        return concatenate([(weight * factor, part) for weight, part in terms])


def ratio(parts: Sequence[Factors]) -> float:
    """t, from the mean cosine of all pairs of deltas that are not zero."""
    norms = [(part, math.sqrt(max(inner(part, part), 0.0))) for part in parts]
    some = [(part, norm) for part, norm in norms if norm > 0]
    count = len(some)
    if count < 2:
        return 1.0
    pairs = [inner(a, b) / (na * nb) for i, (a, na) in enumerate(some) for b, nb in some[:i]]
    cosine = sum(pairs) / len(pairs)
    return min(count * cosine / (1 + (count - 1) * cosine), 1.0) if cosine > 0 else 0.0

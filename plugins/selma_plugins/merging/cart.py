"""`cart`: the mean, and the leading directions of each expert's deviation from it."""

from __future__ import annotations

import math

from selma_core.merging.strategy import Strategy
from selma_core.protocols import Dense, Factors, LayerJob
from selma_plugins.merging.claims import CONTRACT, LINEAR_IN_WEIGHTS, USUAL
from selma_plugins.merging.options import CartOptions
from selma_plugins.merging.spectra import gram
from selma_plugins.merging.stacked import Stack


class Cart(Strategy[CartOptions]):
    """M = mean of the D_i; D = sum w_i D_i + lam sum T w_i SVD_k(D_i - M), k = ceil(share min(m, n)).

    Choi et al., CART (arXiv 2412.12153); weights 1/T give it as published: M + lam sum SVD_k(D_i - M).
    All deviations are small cores between the same two bases, so that no m x n matrix is decomposed.

    Claims: permutation, gauge_invariance, missing_layers, determinism, identity, idempotence, weight_linearity,
    homogeneity, oddness.
    """

    claims = USUAL | CONTRACT | LINEAR_IN_WEIGHTS

    def merge_layer(self, job: LayerJob) -> Factors | Dense | None:
        """T counts all experts: one without the layer is a zero delta, and deviates from the mean too."""
        here = [(weight, part) for weight, part in zip(job.weights, job.experts, strict=True) if part is not None]
        if not here:
            return None
        count = len(job.experts)
        stack = Stack.of([part for _, part in here])
        k = _rank(self.options.share, here[0][1])
        total = stack.core([weight for weight, _ in here])
        deviations = [(weight, index) for index, (weight, _) in enumerate(here)]
        # an expert without the layer deviates by -M, as all such do
        deviations.append((sum(w for w, part in zip(job.weights, job.experts, strict=True) if part is None), -1))
        for weight, chosen in deviations:
            if weight != 0:
                scalars = [float(index == chosen) - 1 / count for index in range(len(here))]
                found = gram(stack.core(scalars)).cut(k)
                total.addmm_(found.up, found.down, alpha=self.options.lam * count * weight)
        left, basis = stack.left.lift(total), stack.right.basis
        return Dense(delta=left) if basis is None else Factors(up=left, down=basis.T)


def _rank(share: float, part: Factors) -> int:
    # 0.07 * 100 is 7.000000000000001
    return math.ceil(share * min(part.up.shape[0], part.down.shape[1]) - 1e-9)

"""`tsv`: the experts' singular vectors, made orthogonal to each other."""

from __future__ import annotations

import torch

from selma_core.merging.algebra import NOISE, spectrum
from selma_core.merging.options import MergeOptions
from selma_core.merging.strategy import Strategy
from selma_core.protocols import Factors, LayerJob
from selma_plugins.merging.claims import CONTRACT, LINEAR_IN_WEIGHTS, USUAL


class Tsv(Strategy[MergeOptions]):
    """D_i = U_i S_i V_i cut at k_i; D = polar([U_1 ... U_T]) diag(T w_i S_i) polar([V_1; ...; V_T]).

    Gargiulo et al., Task Singular Vectors (arXiv 2412.00081), TSV-Merge; weights 1/T give it as published.
    k_i = min(rank of D_i, max(1, floor(min(m, n) / T))): the published code takes the second alone, and vectors that
    the SVD routine chose for the null space then enter the polar factor. The polar factor drops singular values below
    1e-6 of the largest; a raw one is noise where experts share directions. Rank sum k_i, without an m x n matrix.

    Claims: permutation, gauge_invariance, missing_layers, determinism, identity, idempotence, weight_linearity,
    homogeneity, oddness. Identity and idempotence where r_i <= min(m, n) / T: beyond, D_i is cut.
    """

    claims = USUAL | CONTRACT | LINEAR_IN_WEIGHTS

    def merge_layer(self, job: LayerJob) -> Factors | None:
        """A zero delta has no singular vectors; T counts all experts, also those without the layer."""
        here = [(weight, part) for weight, part in zip(job.weights, job.experts, strict=True) if part is not None]
        if not here:
            return None
        count = len(job.experts)
        rows, columns = here[0][1].up.shape[0], here[0][1].down.shape[1]
        k = max(1, min(rows, columns) // count)
        spectra = [(weight, spectrum(part)) for weight, part in here]
        cut = [(count * weight * s[:k], u[:, :k], v[:k]) for weight, (u, s, v) in spectra if float(s[0]) > 0]
        if not cut:
            return Factors(up=here[0][1].up.new_zeros(rows, 1), down=here[0][1].down.new_zeros(1, columns))
        values = torch.cat([s for s, _, _ in cut])
        left = polar(torch.cat([u for _, u, _ in cut], dim=1))
        right = polar(torch.cat([v for _, _, v in cut]).T).T
        root = values.abs().sqrt()
        return Factors(up=left * (root * values.sign()), down=root[:, None] * right)


def polar(stack: torch.Tensor) -> torch.Tensor:
    """P Q' of the SVD P S Q' of [m, K], without the directions whose singular value is rounding.

    As stack (stack' stack)^(-1/2), from the eigenvectors of the smaller Gram matrix in float64.
    """
    wide = stack.double()
    rows, columns = wide.shape
    values, vectors = torch.linalg.eigh(wide.T @ wide if columns <= rows else wide @ wide.T)
    kept = values > values[-1] * NOISE**2
    root = (vectors[:, kept] / values[kept].sqrt()) @ vectors[:, kept].T
    found: torch.Tensor = wide @ root if columns <= rows else root @ wide
    return found.to(stack.dtype)

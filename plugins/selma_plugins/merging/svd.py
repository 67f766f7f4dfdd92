"""`svd`: the best delta of rank k, from the factors."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from selma_core.merging.algebra import concatenate, matrix, present
from selma_core.merging.strategy import Strategy
from selma_core.protocols import Factors, LayerJob
from selma_core.seeds import derive_seed
from selma_plugins.merging.cache import decomposed
from selma_plugins.merging.claims import CONTRACT, HOMOGENEITY, ODDNESS, OPTIMALITY, USUAL
from selma_plugins.merging.grams import Grams
from selma_plugins.merging.options import SvdOptions
from selma_plugins.merging.spectra import gram, thin
from selma_plugins.merging.stacked import Stack

OVERSAMPLE, POWER = 16, 2


class Svd(Strategy[SvdOptions]):
    """D_k = U_k S_k V_k of D = sum w_i D_i (Eckart-Young); B = U_k sqrt(S_k), A = sqrt(S_k) V_k.

    k by one of the rules of kohya's resize_lora: `fixed` (null: the experts' largest rank), `sv_ratio`,
    `sv_cumulative`, `sv_fro`; for a share e of the energy |D|^2, `sv_fro` with k = sqrt(e). k = 0 is the zero delta.
    Fewer columns where D has a lower rank. Routes, R = sum r_i:

    - gram_core: Gram matrices of [B_1 ... B_T] and [A_1; ...; A_T], all else R x R in float64 (`grams`). No m x n
      matrix. `auto` where R < min(m, n); goes on as qr where the A_i nearly depend on one another or the sum cancels.
    - qr: QR of [B_1 ... B_T] and [A_1' ... A_T'], then the small core. No m x n matrix.
    - gram: eigenvectors of D D' (or D' D) in float64. `auto` otherwise.
    - thin: the SVD routine on D.
    - randomized: range finder with 2 power iterations and 16 further columns (arXiv 0909.4061, algorithm 4.4).

    Claims: permutation, gauge_invariance, missing_layers, determinism, identity, idempotence, homogeneity, oddness,
    optimality. Identity and idempotence where k reaches the expert's rank.
    """

    claims = USUAL | CONTRACT | {HOMOGENEITY, ODDNESS, OPTIMALITY}

    def merge_layer(self, job: LayerJob) -> Factors | None:
        """Rank k, balanced."""
        terms = present(job)
        if not terms:
            return None
        parts = [part for _, part in terms]
        rows, columns, total = parts[0].up.shape[0], parts[0].down.shape[1], sum(part.up.shape[1] for part in parts)
        route, shorter = self.options.route, min(rows, columns)
        size = self._fixed(parts) + OVERSAMPLE
        if route == "randomized" and size < min(shorter, total):
            return sketched(concatenate(terms), self._fixed(parts), size, self._stream(job, rows, columns))
        if route in ("qr", "gram_core") or (route in ("auto", "randomized") and total < shorter):
            return (None if route == "qr" else self._by_grams(job, terms)) or self._by_bases(job, terms)
        found = (thin if route == "thin" else gram)(matrix(concatenate(terms)))
        return found.balanced(self._cut(found.s, parts))

    def _by_grams(self, job: LayerJob, terms: Sequence[tuple[float, Factors]]) -> Factors | None:
        parts = [part for _, part in terms]
        grams = decomposed(job, Grams.of, self.options.cache_mb * 2**20)
        inside = grams.inside([weight for weight, _ in terms]) if grams else None
        k = self._cut(inside.s, parts) if inside else 0
        return inside.cut(parts, k) if inside and k else None

    def _by_bases(self, job: LayerJob, terms: Sequence[tuple[float, Factors]]) -> Factors:
        stack = decomposed(job, Stack.of, self.options.cache_mb * 2**20)
        assert stack is not None
        inside = gram(stack.core([weight for weight, _ in terms]))
        return stack.lift(inside.balanced(self._cut(inside.s, [part for _, part in terms])))

    def _stream(self, job: LayerJob, rows: int, columns: int) -> torch.Generator:
        """Of the layer: it knows no order of experts."""
        return torch.Generator().manual_seed(derive_seed("merge", job.seed, "svd", job.name, rows, columns))

    def _fixed(self, parts: Sequence[Factors]) -> int:
        if self.options.k is None:
            return max(part.up.shape[1] for part in parts)
        return int(self.options.k)

    def _cut(self, s: torch.Tensor, parts: Sequence[Factors]) -> int:
        if self.options.by == "fixed" or self.options.k is None:
            return self._fixed(parts)
        return rank_by(self.options.by, self.options.k, s)


def rank_by(rule: str, k: float, s: torch.Tensor) -> int:
    """The rank that a rule of kohya's resize_lora gives for falling singular values; at least 1.

    `sv_ratio`: those with S_0/S_j < k. `sv_cumulative`: as few as have a share k of sum S. `sv_fro`: as few as have a
    share k of sqrt(sum S^2).
    """
    if rule == "sv_ratio":
        return max(1, int((s > s[0] / k).sum()))
    share, target = (s.double(), k) if rule == "sv_cumulative" else (s.double().square(), k * k)
    reached = share.cumsum(0) / share.sum().clamp_(min=torch.finfo(torch.float64).tiny)
    return min(int((reached < target - 1e-12).sum()) + 1, len(s))


def sketched(part: Factors, k: int, size: int, stream: torch.Generator) -> Factors:
    """About the best delta of rank k, from `size` random vectors: its error is a percent above the best one's."""
    low = part.up.shape[1] < min(part.up.shape[0], part.down.shape[1])
    chain = [part.up, part.down] if low else [matrix(part)]
    test = torch.randn(chain[-1].shape[1], size, generator=stream).to(part.down)
    found = torch.linalg.qr(_through(chain, test)).Q
    back = [link.T for link in reversed(chain)]
    for _ in range(POWER):
        found = torch.linalg.qr(_through(back, found)).Q
        found = torch.linalg.qr(_through(chain, found)).Q
    small = gram(_through(back, found).T).balanced(k)
    return Factors(up=found @ small.up, down=small.down)


def _through(chain: Sequence[torch.Tensor], vectors: torch.Tensor) -> torch.Tensor:
    for link in reversed(chain):
        vectors = link @ vectors
    return vectors

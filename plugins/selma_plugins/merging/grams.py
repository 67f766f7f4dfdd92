"""The SVD of a sum of low-rank deltas from Gram matrices of its factors: no QR of the tall ones, only R x R.

With Bs = [B_1 ... B_T] W (W the weights) and As the stacked A_i, D = Bs As. Let Bs' Bs = W G W and As As' = L L'
(Cholesky). Then L' W G W L = V S^2 V' gives the singular values S of D, and its singular vectors are Bs L V / S and
V' L' W G W As / S^2. Everything of size R x R is in float64, which resolves S down to 1e-8 of the largest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import torch

from selma_core.merging.algebra import NOISE
from selma_core.protocols import Factors, Measured

# A pivot of the Cholesky factor below this share of the largest: rows of As that nearly depend on one another.
DEPENDENT = 1e-5
# |D| below this share of |Bs| |As| is what cancellation left; only orthonormal bases keep its digits.
CANCELLED = 1e-3


@attrs.define(eq=False)
class Grams:
    """Of a layer's experts, without weights.

    Attributes: left [R, R] = G; lower [R, R] = L; ranks = r_i.
    """

    left: torch.Tensor
    lower: torch.Tensor
    ranks: tuple[int, ...]
    _last: tuple[tuple[float, ...], Inside | None] | None = None

    @classmethod
    def of(cls, parts: Sequence[Factors]) -> Grams | None:
        """(m + n) R^2 products; None where As has not full rank, or nearly so."""
        lower, failed = torch.linalg.cholesky_ex(_gram([part.down.T for part in parts]))
        pivots = lower.diagonal()
        if int(failed) or not float(pivots.min()) > DEPENDENT * float(pivots.max()):
            return None
        return cls(_gram([part.up for part in parts]), lower, tuple(part.up.shape[1] for part in parts))

    @property
    def size(self) -> int:
        """Bytes held, with those of the last decomposition."""
        return 4 * self.left.numel() * self.left.element_size()

    def inside(self, weights: Sequence[float]) -> Inside | None:
        """The decomposition of sum w_i D_i, kept for a further rank; None where the sum nearly cancels."""
        key = tuple(weights)
        if self._last is None or self._last[0] != key:
            self._last = key, self._decompose(key)
        return self._last[1]

    def _decompose(self, weights: tuple[float, ...]) -> Inside | None:
        along = torch.cat([torch.full((r,), w).double() for r, w in zip(self.ranks, weights, strict=True)])
        turned = self.lower.T @ (along[:, None] * self.left * along)
        values, vectors = torch.linalg.eigh(turned @ self.lower)
        s = values.flip(0).clamp_(min=0).sqrt_()
        plain = float(s.square().sum().sqrt())
        sides = math.sqrt(float(self.left.diagonal() @ along.square())) * float(self.lower.norm())
        if not plain > CANCELLED * sides:
            return None
        kept = int((s > s[0] * NOISE).sum())
        return Inside(along, turned, self.lower, vectors.flip(1)[:, :kept], s[:kept], plain)


@attrs.frozen(eq=False)
class Inside:
    """The SVD of one sum, in coordinates.

    Attributes: along [R] = the weights; turned = L' W G W; lower = L; vectors [R, q] = V; s [q], falling; plain = |D|.
    """

    along: torch.Tensor
    turned: torch.Tensor
    lower: torch.Tensor
    vectors: torch.Tensor
    s: torch.Tensor
    plain: float

    def cut(self, parts: Sequence[Factors], k: int) -> Measured:
        """U_k sqrt(S_k) and sqrt(S_k) V_k of the experts' own factors; k at least 1."""
        v, s = self.vectors[:, :k], self.s[:k]
        root, kind = s.sqrt(), parts[0].up.dtype
        left = self.along[:, None] * (self.lower @ v) / root
        right = (v.T @ self.turned) / (s * root)[:, None]
        up = torch.cat([part.up for part in parts], dim=1) @ left.to(kind)
        down = right.to(kind) @ torch.cat([part.down for part in parts])
        return Measured(up=up, down=down, norm=float(s.square().sum().sqrt()), plain=self.plain)


def _gram(factors: Sequence[torch.Tensor]) -> torch.Tensor:
    """F'F [R, R] in float64 of F = the factors [m, r_i] side by side; the wide copy of F lives only here."""
    wide = torch.cat([factor.double() for factor in factors], dim=1)
    return wide.T @ wide

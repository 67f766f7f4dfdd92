"""The experts of a layer in one pair of orthonormal bases: D_i = Q_b (L_i R_i') Q_a', with small L_i and R_i.

Q_b from the QR of [B_1 ... B_T], Q_a from that of [A_1' ... A_T']. Weights do not enter, so further weights use it
again; every weighted sum of the D_i is a small core between the same bases, and no m x n matrix is ever formed.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import torch

from selma_core.protocols import Factors
from selma_plugins.merging.spectra import thin


@attrs.frozen
class Side:
    """The factors of one side [m, r_i] as `basis @ parts[i]`.

    Attributes: basis [m, p] with orthonormal columns, or None where the stack is as wide as high: the identity.
        stacked [p, R] = the parts side by side. ranks = r_i of each.
    """

    basis: torch.Tensor | None
    stacked: torch.Tensor
    ranks: tuple[int, ...]

    @classmethod
    def of(cls, factors: Sequence[torch.Tensor]) -> Side:
        """By the QR of the factors side by side."""
        stacked = torch.cat(list(factors), dim=1)
        ranks = tuple(factor.shape[1] for factor in factors)
        if stacked.shape[1] >= stacked.shape[0]:
            return cls(None, stacked, ranks)
        basis, triangle = torch.linalg.qr(stacked)
        return cls(basis, triangle, ranks)

    def lift(self, inside: torch.Tensor) -> torch.Tensor:
        """basis @ inside: from coordinates [p, k] to [m, k]."""
        return inside if self.basis is None else self.basis @ inside

    @property
    def size(self) -> int:
        """Bytes held."""
        held = (self.stacked,) if self.basis is None else (self.basis, self.stacked)
        return sum(tensor.numel() * tensor.element_size() for tensor in held)


@attrs.frozen
class Stack:
    """Both sides of the experts that have a layer."""

    left: Side
    right: Side

    @classmethod
    def of(cls, parts: Sequence[Factors]) -> Stack:
        """QR of both stacks: 4 (m + n) R^2 products."""
        return cls(Side.of([part.up for part in parts]), Side.of([part.down.T for part in parts]))

    def core(self, scalars: Sequence[float]) -> torch.Tensor:
        """The core [p, q] of sum scalars_i D_i."""
        along = torch.cat([torch.full((rank,), scalar) for rank, scalar in zip(self.left.ranks, scalars, strict=True)])
        return (self.left.stacked * along.to(self.left.stacked)) @ self.right.stacked.T

    def lift(self, inside: Factors) -> Factors:
        """A delta given by its coordinates, in the layer's own."""
        return Factors(up=self.left.lift(inside.up), down=self.right.lift(inside.down.T).T)

    @property
    def size(self) -> int:
        """Bytes held."""
        return self.left.size + self.right.size


def triangle(down: torch.Tensor) -> torch.Tensor:
    """A small [min(r, n), r] that has the same A A' as A [r, n]: the R of A' = Q R."""
    found: torch.Tensor = torch.linalg.qr(down.T, mode="r").R
    return found


def column_space(parts: Sequence[Factors]) -> torch.Tensor:
    """An orthonormal basis [m, q] of what the experts write to: the left singular vectors of [D_1 ... D_T].

    B_i R_i' has the left singular vectors of D_i = B_i A_i with A_i' = Q_i R_i, so n columns become r_i. Singular
    values that are rounding are cut, relative to the largest.
    """
    return thin(torch.cat([part.up @ triangle(part.down).T for part in parts], dim=1)).vectors


def transposed(part: Factors) -> Factors:
    """D' = A' B'."""
    return Factors(up=part.down.T, down=part.up.T)

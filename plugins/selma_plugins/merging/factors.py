"""Algebra on low-rank deltas, without ever forming the dense matrix where it can be helped."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from selma_core.protocols import Factors


def concatenate(terms: Sequence[tuple[float, Factors]]) -> Factors:
    """sum w_i B_i A_i, exactly, as one delta whose rank is the sum of the ranks: weights and signs go to B."""
    up = torch.cat([weight * part.up for weight, part in terms], dim=1)
    return Factors(up=up, down=torch.cat([part.down for _, part in terms]))


def truncate(factors: Factors, rank: int) -> Factors:
    """The best approximation of a delta of at most `rank` (Eckart-Young), split evenly between B and A.

    QR of both factors and an SVD of the small core where the rank is below both sides, else an SVD of the product.
    Fewer columns are returned when the delta's own rank is smaller.
    """
    up, down = factors.up.flatten(1).double(), factors.down.flatten(1).double()
    if up.shape[1] < min(up.shape[0], down.shape[1]):
        left, core_left = torch.linalg.qr(up)
        right, core_right = torch.linalg.qr(down.T)
        u, s, v = torch.linalg.svd(core_left @ core_right.T, full_matrices=False)
        u, v = left @ u, v @ right.T
    else:
        u, s, v = torch.linalg.svd(up @ down, full_matrices=False)
    kept = max(1, min(rank, int((s > s[0] * 1e-7).sum())))
    root = s[:kept].sqrt()
    return Factors(
        up=_like(u[:, :kept] * root, factors.up),
        down=_like(root[:, None] * v[:kept], factors.down),
    )


def _like(matrix: torch.Tensor, former: torch.Tensor) -> torch.Tensor:
    """A matrix in the type and the trailing axes of the factor it replaces (convolutions have four axes)."""
    columns = matrix.shape if former.dim() == 2 else _convolution(matrix, former)
    return matrix.to(former.dtype).reshape(columns).contiguous()


def _convolution(matrix: torch.Tensor, former: torch.Tensor) -> tuple[int, ...]:
    trailing = tuple(former.shape[2:])
    return (matrix.shape[0], matrix.shape[1] // max(1, trailing[0] * trailing[1]), *trailing)

"""Algebra on deltas: matrices D = B A of low rank, without forming them where it can be helped.

All factors here are matrices, B [m, r] and A [r, n]: the driver flattens convolutions before and restores them after.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from selma_core.protocols import Dense, Factors, LayerJob
from selma_core.seeds import derive_seed

if TYPE_CHECKING:
    import torch

# Singular values below this share of the largest are rounding: fp32 has 1.2e-7.
NOISE = 1e-6
# A sum below this share of the sum of its terms' sizes has lost digits of fp32 to cancellation.
CANCELLED = 0.03


def flat(factors: Factors) -> Factors:
    """Factors as matrices: convolutions flattened to B [m, r], A [r, in * kh * kw]."""
    return Factors(up=factors.up.flatten(1), down=factors.down.flatten(1))


def matrix(part: Factors | Dense) -> torch.Tensor:
    """The delta [m, n] itself."""
    return part.delta if isinstance(part, Dense) else part.up @ part.down


def present(job: LayerJob) -> list[tuple[float, Factors]]:
    """(weight, expert) of those that have the layer: a missing layer is a zero delta, other weights stay."""
    return [(w, expert) for w, expert in zip(job.weights, job.experts, strict=True) if expert is not None]


def concatenate(terms: Sequence[tuple[float, Factors]]) -> Factors:
    """sum w_i B_i A_i, exactly, as one delta whose rank is the sum of the ranks: weights and signs go to B."""
    import torch

    up = torch.cat([weight * part.up for weight, part in terms], dim=1)
    return Factors(up=up, down=torch.cat([part.down for _, part in terms]))


def image(part: Factors | Dense, vector: torch.Tensor) -> torch.Tensor:
    """D x of a delta [m, n] and a vector [n]."""
    return part.delta @ vector if isinstance(part, Dense) else part.up @ (part.down @ vector)


def inner(a: Factors, b: Factors) -> float:
    """<D_a, D_b> = tr((B_a' B_b)(A_b A_a')): (m + n) r_a r_b products instead of m n r.

    In the factors' type where the terms hardly cancel, else in float64.
    """
    terms = (a.up.T @ b.up).double() * (a.down @ b.down.T).double()
    total = float(terms.sum())
    if abs(total) > CANCELLED * float(terms.abs().sum()):
        return total
    return float(((a.up.double().T @ b.up.double()) * (a.down.double() @ b.down.double().T)).sum())


def norm(part: Factors | Dense) -> float:
    """The Frobenius norm of a delta."""
    if isinstance(part, Dense):
        return float(part.delta.double().norm())
    return math.sqrt(max(inner(part, part), 0.0))


def exact(dense: Dense) -> Factors:
    """A dense delta as factors of rank min(m, n), one of them the identity: no rounding at all."""
    import torch

    rows, columns = dense.delta.shape
    if rows <= columns:
        return Factors(up=torch.eye(rows), down=dense.delta.contiguous())
    return Factors(up=dense.delta.contiguous(), down=torch.eye(columns))


def spectrum(part: Factors | Dense) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """U [m, q], S [q], V [q, n] of a delta in fp32, with singular values that are rounding cut off (at least one kept).

    Low-rank factors: QR of both and an SVD of the small core (`merging.md` calls it the qr route); the m x n matrix is
    formed only where the rank reaches the shorter side.
    """
    import torch

    if isinstance(part, Factors) and part.up.shape[1] < min(part.up.shape[0], part.down.shape[1]):
        left, core_left = torch.linalg.qr(part.up)
        right, core_right = torch.linalg.qr(part.down.T)
        u, s, v = torch.linalg.svd(core_left @ core_right.T, full_matrices=False)
        u, v = left @ u, v @ right.T
    else:
        u, s, v = torch.linalg.svd(matrix(part), full_matrices=False)
    kept = max(1, int((s > s[0] * NOISE).sum()))
    return u[:, :kept], s[:kept], v[:kept]


def truncate(part: Factors | Dense, rank: int) -> tuple[Factors, float]:
    """The best approximation of a delta of at most `rank` (Eckart-Young), sqrt(S) on either side.

    Returns:
        The factors, fewer columns where the delta's own rank is smaller; and the share of |D|^2 that they keep.
    """
    u, s, v = spectrum(part)
    square = s.double().square()
    total = float(square.sum())
    retained = float(square[:rank].sum()) / total if total > 0 else 1.0
    root = s[:rank].sqrt()
    return Factors(up=u[:, :rank] * root, down=root[:, None] * v[:rank]), retained


def stream(job: LayerJob, expert: int) -> torch.Generator:
    """The random stream of one expert's masks in one layer.

    Keyed by seed, expert, layer and shape, on the CPU: neither the order of experts and layers nor a further expert
    changes a mask.
    """
    import torch

    part = job.experts[expert]
    shape = () if part is None else (part.up.shape[0], part.down.shape[1])
    seed = derive_seed("merge", job.seed, job.expert_ids[expert], job.name, *shape)
    return torch.Generator().manual_seed(seed)

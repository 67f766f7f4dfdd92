"""Dense textbook forms in float64, written from the formulas and without regard to time or memory.

Each takes the deltas [m, n] (zeros where an expert lacks the layer) and the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

Deltas = Sequence[torch.Tensor]
Weights = Sequence[float]


def linear(deltas: Deltas, weights: Weights) -> torch.Tensor:
    """sum w_i D_i."""
    return torch.stack([w * d for w, d in zip(weights, deltas, strict=True)]).sum(0)


def best(delta: torch.Tensor, k: int) -> torch.Tensor:
    """The best approximation of rank k."""
    u, s, v = torch.linalg.svd(delta, full_matrices=False)
    return (u[:, :k] * s[:k]) @ v[:k]


def band(delta: torch.Tensor, density: float, gamma: float = 0.0) -> torch.Tensor:
    """Entry by entry in the order of |D|, largest first: skip int(gamma N), keep int(density N)."""
    count, kept = delta.numel(), torch.zeros_like(delta)
    order = delta.abs().flatten().argsort(descending=True)
    chosen = order[int(gamma * count) : int(gamma * count) + int(density * count)]
    kept.view(-1)[chosen] = delta.flatten()[chosen]
    return kept


def dropped(delta: torch.Tensor, density: float, draws: torch.Tensor) -> torch.Tensor:
    """DARE."""
    return torch.where(draws < density, delta / density, 0.0)


def della(delta: torch.Tensor, density: float, eps: float, draws: torch.Tensor) -> torch.Tensor:
    """DELLA."""
    out = torch.zeros_like(delta)
    columns = delta.shape[1]
    for row in range(len(delta)):
        for rank, column in enumerate(delta[row].abs().argsort(stable=True).tolist()):
            p = (density - eps) + 2 * eps * rank / (columns - 1) if columns > 1 else density
            if draws[row, column] < p:
                out[row, column] = delta[row, column] / p
    return out


def ties(kept: Deltas, weights: Weights, variant: str = "selma", vote: str | None = None) -> torch.Tensor:
    """TIES of trimmed deltas, number by number."""
    frequency = vote == "frequency" or (variant == "sd-mecha" and vote is None)
    stack = torch.stack(list(kept))
    out = torch.zeros_like(stack[0])
    voices = [w if variant == "selma" else 1.0 for w in weights]
    elected = (
        torch.stack([v * (x.sign() if frequency else x) for v, x in zip(voices, stack, strict=True)]).sum(0).sign()
    )
    whole = -1.0 if float(elected.sum()) < 0 else 1.0
    for at in torch.cartesian_prod(*(torch.arange(size) for size in out.shape)).tolist():
        entries = [float(x[tuple(at)]) for x in stack]
        sign = float(elected[tuple(at)])
        if sign == 0:
            sign = {"paper": whole, "sd-mecha": 0.0}.get(variant, 1.0)
        agree = [i for i, x in enumerate(entries) if x * voices[i] * sign > 0]
        if not agree:
            continue
        if variant == "selma":
            value = sum(weights[i] * entries[i] for i in agree) / sum(abs(weights[i]) for i in agree)
        elif variant == "peft":
            value = sum(weights[i] * entries[i] for i in agree) / len(agree)
        else:
            value = sum(weights) * sum(entries[i] for i in agree) / len(agree)
        out[tuple(at)] = value
    return out


def model_stock(deltas: Deltas, weights: Weights) -> torch.Tensor:
    """Cosines of the flattened deltas."""
    some = [d.flatten() for d in deltas if float(d.norm()) > 0]
    count = len(some)
    t = 1.0
    if count > 1:
        cosines = [float(a @ b / (a.norm() * b.norm())) for i, a in enumerate(some) for b in some[:i]]
        c = sum(cosines) / len(cosines)
        t = max(0.0, min(1.0, count * c / (1 + (count - 1) * c)))
    return t * linear(deltas, weights)


def slerp(deltas: Deltas, weights: Weights) -> torch.Tensor:
    """On the arc."""
    a, b = deltas
    t = weights[1] / sum(weights)
    cosine = float((a * b).sum() / (a.norm() * b.norm()))
    if abs(cosine) > 0.9995:
        return (1 - t) * a + t * b
    theta = math.acos(cosine)
    return (math.sin((1 - t) * theta) * a + math.sin(t * theta) * b) / math.sin(theta)


def polar(stack: torch.Tensor) -> torch.Tensor:
    """U V of the SVD, without what is rounding."""
    u, s, v = torch.linalg.svd(stack, full_matrices=False)
    kept = s > 1e-6 * s[0]
    return u[:, kept] @ v[kept]


def tsv(deltas: Deltas, weights: Weights) -> torch.Tensor:
    """SVD of each, polar factors of the stacks."""
    count, shorter = len(deltas), min(deltas[0].shape)
    us, ss, vs = [], [], []
    for w, d in zip(weights, deltas, strict=True):
        u, s, v = torch.linalg.svd(d, full_matrices=False)
        k = min(int((s > 1e-6 * s[0]).sum()), max(1, shorter // count))
        us.append(u[:, :k])
        ss.append(count * w * s[:k])
        vs.append(v[:k])
    return (polar(torch.cat(us, dim=1)) * torch.cat(ss)) @ polar(torch.cat(vs))


def knots(deltas: Deltas, merge: Callable[[Deltas], torch.Tensor]) -> torch.Tensor:
    """SVD of [D_1 ... D_T] [m, n T]."""
    u, s, v = torch.linalg.svd(torch.cat(list(deltas), dim=1), full_matrices=False)
    kept = s > 1e-6 * s[0]
    u, sv = u[:, kept], s[kept, None] * v[kept]
    return u @ merge(sv.split(deltas[0].shape[1], dim=1))


def core(deltas: Deltas, merge: Callable[[Deltas], torch.Tensor]) -> torch.Tensor:
    """Left vectors of [D_1 ... D_T], right vectors of [D_1; ...; D_T]."""
    u, s, _ = torch.linalg.svd(torch.cat(list(deltas), dim=1), full_matrices=False)
    _, t, v = torch.linalg.svd(torch.cat(list(deltas)), full_matrices=False)
    u, v = u[:, s > 1e-6 * s[0]], v[t > 1e-6 * t[0]]
    return u @ merge([u.T @ d @ v.T for d in deltas]) @ v


def iso_c(deltas: Deltas, weights: Weights, full: bool = False) -> torch.Tensor:
    """All singular values above rounding become their mean."""
    u, s, v = torch.linalg.svd(linear(deltas, weights), full_matrices=False)
    kept = s > 1e-6 * s[0]
    return s[kept].sum() / (len(s) if full else int(kept.sum())) * u[:, kept] @ v[kept]


def cart(deltas: Deltas, weights: Weights, share: float, lam: float) -> torch.Tensor:
    """The mean and the leading deviations."""
    mean, k = torch.stack(list(deltas)).mean(0), math.ceil(share * min(deltas[0].shape) - 1e-9)
    parts = [len(deltas) * w * best(d - mean, k) for w, d in zip(weights, deltas, strict=True)]
    return linear(deltas, weights) + lam * torch.stack(parts).sum(0)

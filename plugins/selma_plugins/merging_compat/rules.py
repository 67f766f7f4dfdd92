"""PEFT's elementwise rules on a list of tensors of one shape: pruning, voting, adding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from selma_plugins.merging_compat.options import PeftDareOptions, PeftMagnitudeOptions, PeftTiesOptions

# (tensors of one shape, a weight each, a random stream each) -> a tensor of that shape
Rule = Callable[[Sequence[torch.Tensor], Sequence[float], Sequence[torch.Generator]], torch.Tensor]


def add(parts: Sequence[torch.Tensor], weights: Sequence[float], streams: object = None) -> torch.Tensor:
    """sum w_i x_i."""
    del streams
    return torch.stack([w * part for w, part in zip(weights, parts, strict=True)]).sum(0)


def elect(parts: Sequence[torch.Tensor], weights: Sequence[float], by: str) -> torch.Tensor:
    """TIES as PEFT reads it: sum of w_i x_i over those that have the elected sign, divided by their NUMBER.

    The vote does not see the weights: it is the sign of sum x_i (`total`) or of sum sign x_i (`frequency`), and zero
    counts as +. The divisor makes T equal experts of weight 1/T come out at 1/T.
    """
    stacked = torch.stack(list(parts))
    signs = stacked.sign()
    votes = (stacked if by == "total" else signs).sum(0)
    agree = signs == torch.where(votes >= 0, 1.0, -1.0)
    return add([x * a for x, a in zip(stacked, agree, strict=True)], weights) / agree.sum(0).clamp(min=1)


def keep_largest(part: torch.Tensor, density: float) -> torch.Tensor:
    """The int(d N) entries of largest size, exactly that many where sizes tie; the others are 0."""
    if density >= 1:
        return part
    mask = torch.zeros(part.numel())
    mask[part.abs().flatten().topk(int(density * part.numel())).indices] = 1
    return part * mask.reshape(part.shape)


def keep_random(part: torch.Tensor, density: float, stream: torch.Generator) -> torch.Tensor:
    """x M / d with M ~ Bernoulli(d); PEFT draws M from the global stream, here each expert has its own."""
    if density >= 1:
        return part
    return part * torch.bernoulli(torch.full(part.shape, density), generator=stream) / density


def magnitude(options: PeftMagnitudeOptions) -> Rule:
    """`magnitude_prune`: sum w_i keep_largest(x_i)."""

    def rule(
        parts: Sequence[torch.Tensor], weights: Sequence[float], streams: Sequence[torch.Generator]
    ) -> torch.Tensor:
        del streams
        return add([keep_largest(part, options.density) for part in parts], weights)

    return rule


def ties(options: PeftTiesOptions) -> Rule:
    """`ties`: elect of keep_largest(x_i)."""

    def rule(
        parts: Sequence[torch.Tensor], weights: Sequence[float], streams: Sequence[torch.Generator]
    ) -> torch.Tensor:
        del streams
        return elect([keep_largest(part, options.density) for part in parts], weights, options.vote)

    return rule


def dare(options: PeftDareOptions) -> Rule:
    """`dare_linear` and `dare_ties`: the sum, or elect, of keep_random(x_i)."""

    def rule(
        parts: Sequence[torch.Tensor], weights: Sequence[float], streams: Sequence[torch.Generator]
    ) -> torch.Tensor:
        pruned = [keep_random(part, options.density, s) for part, s in zip(parts, streams, strict=True)]
        return elect(pruned, weights, options.vote) if options.inner == "ties" else add(pruned, weights)

    return rule

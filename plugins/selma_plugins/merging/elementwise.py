"""Methods that trim each delta entry by entry and merge what is left: one layer in a few m x n buffers.

The deltas are formed one at a time. A sum needs each once; TIES needs each twice, before the vote and after it, and
either keeps the T trimmed ones or forms them again, which costs a product each and no memory (`max_bytes` decides).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch

from selma_core.merging.algebra import stream
from selma_core.merging.strategy import Strategy
from selma_core.protocols import Dense, Factors, LayerJob
from selma_plugins.merging.options import DensityOptions, SparseOptions
from selma_plugins.merging.ties_rules import SELMA, Coefficients, Rule, majority
from selma_plugins.merging.trims import Bounds, Trim

# Buffers of TIES beside the trimmed deltas: the vote, the sum, the divisor.
BESIDE = 3
NO_BOUNDS: Mapping[int, Bounds] = MappingProxyType({})


class Trimmed:
    """The trimmed deltas x_i of a layer, as often as they are asked for.

    `parts` stand for the job's experts: themselves, or their coordinates in a basis. Masks come from the streams of
    the experts, so they do not depend on the basis' size. `here` are the indices of those that have the layer. `bounds`
    of experts that are known already are not looked for.
    """

    def __init__(
        self,
        job: LayerJob,
        parts: Sequence[Factors | None],
        trim: Trim | None,
        bounds: Mapping[int, Bounds] = NO_BOUNDS,
    ) -> None:
        self._job, self._trim = job, trim
        self._parts = {index: part for index, part in enumerate(parts) if part is not None}
        self.here = tuple(self._parts)
        self._bounds: dict[int, Bounds] = dict(bounds)
        self._scratch = self.zeros() if trim else None

    def zeros(self) -> torch.Tensor:
        """A buffer [m, n]."""
        first = self._parts[self.here[0]]
        return first.up.new_zeros(first.up.shape[0], first.down.shape[1])

    def write(self, index: int, buffer: torch.Tensor) -> torch.Tensor:
        """x_i [m, n], in `buffer`."""
        part = self._parts[index]
        torch.mm(part.up, part.down, out=buffer)
        if self._trim is not None and self._scratch is not None:
            if index not in self._bounds:
                self._bounds[index] = self._trim.find(buffer, self._scratch)
            self._trim.cut(buffer, self._scratch, self._bounds[index], stream(self._job, index))
        return buffer

    def no_more_trims(self) -> None:
        """Frees the scratch buffer: everything is kept elsewhere."""
        self._scratch = None


def weighted_sum(source: Trimmed, weights: Sequence[float]) -> torch.Tensor:
    """sum w_i x_i [m, n], in three buffers."""
    total, buffer = source.zeros(), source.zeros()
    for index in source.here:
        total.add_(source.write(index, buffer), alpha=weights[index])
    return total


def ties(source: Trimmed, weights: Sequence[float], rule: Rule, max_bytes: int) -> torch.Tensor:
    """Per entry the mean of those x_i whose sign is that of the vote [m, n].

    Source: TIES-Merging (2306.01708), algorithm 1; the rules differ in how they vote and what they divide by.
    """
    spoken = rule.coefficients(weights)
    votes = source.zeros()
    keep = (len(source.here) + BESIDE) * votes.numel() * votes.element_size() <= max_bytes
    kept: dict[int, torch.Tensor] = {}
    buffer = source.zeros() if not keep else votes
    for index in source.here:
        x = source.write(index, source.zeros() if keep else buffer)
        votes.add_(x.sign() if rule.frequency else x, alpha=spoken.voices[index])
        if keep:
            kept[index] = x
    if keep:
        source.no_more_trims()
    signs = majority(votes, rule.even)
    again = kept.pop if keep else lambda index: source.write(index, buffer)
    return _agreeing(signs, spoken, source.here, again)


def _agreeing(
    signs: torch.Tensor, spoken: Coefficients, here: Sequence[int], x: Callable[[int], torch.Tensor]
) -> torch.Tensor:
    """sum parts_i x_i / sum shares_i over the i with sign(voice_i x_i) = sign; 0/0 = 0. Overwrites the x_i."""
    total, divisor = torch.zeros_like(signs), torch.zeros_like(signs)
    for index in here:
        voice, part, share = spoken.voices[index], spoken.parts[index], spoken.shares[index]
        if voice == 0:
            continue
        side = 1.0 if voice > 0 else -1.0
        agreeing = x(index).mul_(signs)
        if side < 0:
            agreeing.neg_()
        agreeing.clamp_(min=0.0)  # |x_i| where it agrees, else 0
        total.add_(agreeing, alpha=part * side)
        divisor.add_(agreeing.sign_(), alpha=share)
    divisor.masked_fill_(divisor == 0, 1.0)
    return total.div_(divisor).mul_(signs).mul_(spoken.factor)


class Elementwise(Strategy[DensityOptions]):
    """A trim, then a sum or TIES."""

    def trim(self) -> Trim | None:
        """Which entries stay; None = all."""
        raise NotImplementedError

    def rule(self) -> Rule | None:
        """How TIES goes; None = a weighted sum."""
        return SELMA if isinstance(self.options, SparseOptions) and self.options.inner == "ties" else None

    def bounds(self, job: LayerJob) -> Mapping[int, Bounds]:
        """What the trim needs to know of the experts' deltas, by index, where it is known already."""
        del job
        return NO_BOUNDS

    def merge_layer(self, job: LayerJob) -> Dense | None:
        """A layer that an expert lacks is a zero delta: it neither votes nor counts."""
        merged = merge_parts(job, job.experts, self.trim(), self.rule(), self.options.max_bytes, self.bounds(job))
        return None if merged is None else Dense(delta=merged)


def merge_parts(
    job: LayerJob,
    parts: Sequence[Factors | None],
    trim: Trim | None,
    rule: Rule | None,
    max_bytes: int,
    bounds: Mapping[int, Bounds] = NO_BOUNDS,
) -> torch.Tensor | None:
    """The merged delta of `parts`, one for each of the job's experts; None where no expert has the layer."""
    if all(part is None for part in parts):
        return None
    source = Trimmed(job, parts, trim, bounds)
    return weighted_sum(source, job.weights) if rule is None else ties(source, job.weights, rule, max_bytes)

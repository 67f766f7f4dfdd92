"""`peft_*`: what PEFT 0.21's `LoraModel.add_weighted_adapter` computes, faults included. Not in the scale contract.

    peft_linear         A = sum sgn(w_i) sqrt|w_i| A_i,  B = sum sqrt|w_i| B_i
    peft_magnitude      the same, all but the largest entries of each A_i and of each B_i set to 0 before
    peft_dare           the same, entries dropped at random and the others divided by the density
    peft_ties           TIES on the A_i and, apart from it, on the B_i (`rules.elect`)
    peft_svd, peft_*_svd   the rule on the deltas B_i A_i, then the best approximation of rank k

The first four work on factors, so B A holds cross terms B_i A_j and depends on how an expert is written. T equal
experts come out T times too large at w = 1/T (25 times at T = 5, w = 1); the modes that vote, without the cross terms,
T times too small. A single expert is merged by `linear` whatever the mode, density and rank ignored.

What is exact: PEFT puts w_i s_i under the root, with s_i = alpha_i / r_i; here s_i is part of B_i already. Both agree
for any s_i > 0 that all experts share, and for any s_i in the modes that end in `_svd`; where experts with different
s_i go through a mode on factors, the cross terms (and votes) differ from PEFT's. rsLoRA is not seen in factors:
option `rslora` adds PEFT's fault. DARE's masks come from seeded streams instead of the global one: A's, then B's.
PEFT's `cat` is `cat`; its `svd` with `svd_clamp` is `kohya_svd`.

Source: huggingface/peft 0.21.2 `tuners/lora/model.py`, `utils/merge_utils.py` (issues 3004, 3737).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from selma_core.errors import UserError
from selma_core.merging.algebra import concatenate, matrix, present, spectrum, stream
from selma_core.merging.strategy import Strategy
from selma_core.protocols import Dense, Factors, LayerJob
from selma_plugins.merging_compat.options import PeftDareOptions, PeftMagnitudeOptions, PeftOptions, PeftTiesOptions
from selma_plugins.merging_compat.rules import Rule, add, dare, magnitude, ties


class FactorSpace(Strategy[PeftOptions]):
    """A rule on the A_i and on the B_i apart, weights split evenly between both, signs with A."""

    def __init__(self, options: PeftOptions, rule: Rule = add) -> None:
        super().__init__(options)
        self._rule = rule

    def merge_layer(self, job: LayerJob) -> Factors | None:
        """A [r, n] and B [m, r] from experts that all have rank r; a layer that an expert lacks is not counted.

        Raises:
            UserError: the ranks differ, as in PEFT.
        """
        terms = present(job)
        if not terms:
            return None
        rank = _one_rank(job.name, [part for _, part in terms])
        roots = [math.sqrt(abs(w)) for w, _ in terms]
        signed = [math.copysign(root, w) for root, (w, _) in zip(roots, terms, strict=True)]
        rule, streams = (add if len(job.experts) == 1 else self._rule), _streams(job)
        down = rule([part.down for _, part in terms], signed, streams)
        up = rule([part.up for _, part in terms], roots, streams)
        return Factors(up=up * _fault(self.options, rank), down=down)


class DeltaSpace(Strategy[PeftOptions]):
    """A rule on the deltas B_i A_i [m, n], cut to rank k = `rank`, or else the largest of the experts."""

    def __init__(self, options: PeftOptions, rule: Rule | None = None) -> None:
        super().__init__(options)
        self._rule = rule

    def merge_layer(self, job: LayerJob) -> Factors | None:
        """B = U_k S_k and A = V_k, as PEFT stores them; fewer columns where the delta's own rank is smaller."""
        terms = present(job)
        if len(job.experts) == 1 or not terms:
            return FactorSpace(self.options).merge_layer(job)
        rank = self.options.rank or max(part.down.shape[0] for _, part in terms)
        u, s, v = spectrum(self._delta(terms, job))
        return Factors(up=u[:, :rank] * s[:rank] * _fault(self.options, rank), down=v[:rank])

    def _delta(self, terms: Sequence[tuple[float, Factors]], job: LayerJob) -> Factors | Dense:
        if self._rule is None:  # plain `svd`: no need to form the m x n matrix
            return concatenate(terms)
        return Dense(delta=self._rule([matrix(part) for _, part in terms], [w for w, _ in terms], _streams(job)))


def linear(options: PeftOptions) -> FactorSpace:
    """`peft_linear`: A = sum sgn(w) sqrt|w| A_i, B = sum sqrt|w| B_i."""
    return FactorSpace(options)


def prune_factors(options: PeftMagnitudeOptions) -> FactorSpace:
    """`peft_magnitude`: PEFT's `magnitude_prune`."""
    return FactorSpace(options, magnitude(options))


def ties_factors(options: PeftTiesOptions) -> FactorSpace:
    """`peft_ties`: PEFT's `ties`."""
    return FactorSpace(options, ties(options))


def dare_factors(options: PeftDareOptions) -> FactorSpace:
    """`peft_dare`: PEFT's `dare_linear`, or `dare_ties` with `inner: ties`."""
    return FactorSpace(options, dare(options))


def svd(options: PeftOptions) -> DeltaSpace:
    """`peft_svd`: the best approximation of sum w_i B_i A_i."""
    return DeltaSpace(options)


def prune_deltas(options: PeftMagnitudeOptions) -> DeltaSpace:
    """`peft_magnitude_svd`: PEFT's `magnitude_prune_svd`."""
    return DeltaSpace(options, magnitude(options))


def ties_deltas(options: PeftTiesOptions) -> DeltaSpace:
    """`peft_ties_svd`: PEFT's `ties_svd`."""
    return DeltaSpace(options, ties(options))


def dare_deltas(options: PeftDareOptions) -> DeltaSpace:
    """`peft_dare_linear_svd`: PEFT's type of that name, or `dare_ties_svd` with `inner: ties`."""
    return DeltaSpace(options, dare(options))


def _one_rank(layer: str, parts: Sequence[Factors]) -> int:
    ranks = sorted({part.down.shape[0] for part in parts})
    if len(ranks) > 1:
        raise UserError(
            f"layer '{layer}': experts of ranks {', '.join(map(str, ranks))}; this PEFT mode adds factors of one rank: "
            "take peft_svd, or linear"
        )
    return ranks[0]


def _streams(job: LayerJob) -> list[torch.Generator]:
    return [stream(job, i) for i, expert in enumerate(job.experts) if expert is not None]


def _fault(options: PeftOptions, rank: int) -> float:
    """PEFT writes alpha = r = new rank, right for LoRA (scale 1), and keeps the flag of rsLoRA (scale sqrt(r))."""
    return math.sqrt(rank) if options.rslora else 1.0

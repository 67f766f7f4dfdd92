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
from selma_core.merging.algebra import present, stream
from selma_core.merging.strategy import Strategy
from selma_core.protocols import Factors, LayerJob
from selma_plugins.merging.claims import DETERMINISM, HOMOGENEITY, IDENTITY, ODDNESS, PERMUTATION
from selma_plugins.merging_compat.options import PeftDareOptions, PeftMagnitudeOptions, PeftOptions, PeftTiesOptions
from selma_plugins.merging_compat.rules import Rule, add, dare, magnitude, ties

# Experts of other ranks are refused: a zero expert or one of weight 0 may be one of those.
ON_FACTORS = frozenset({IDENTITY, PERMUTATION, HOMOGENEITY, ODDNESS, DETERMINISM})


class FactorSpace(Strategy[PeftOptions]):
    """A rule on the A_i and on the B_i apart, weights split evenly between both, signs with A."""

    claims = ON_FACTORS

    def rule(self) -> Rule:
        """What merges tensors of one shape."""
        return add

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
        rule, streams = (add if len(job.experts) == 1 else self.rule()), streams_of(job)
        down = rule([part.down for _, part in terms], signed, streams)
        up = rule([part.up for _, part in terms], roots, streams)
        return Factors(up=up * fault(self.options, rank), down=down)


class PeftLinear(FactorSpace):
    """PEFT's `linear`: A = sum sgn(w) sqrt|w| A_i, B = sum sqrt|w| B_i.

    Claims: identity, permutation, homogeneity, oddness, determinism.
    """


class PeftMagnitude(FactorSpace):
    """PEFT's `magnitude_prune`.

    Claims: identity, permutation, homogeneity, oddness, determinism.
    """

    options: PeftMagnitudeOptions

    def rule(self) -> Rule:
        """The largest entries, added."""
        return magnitude(self.options)


class PeftTies(FactorSpace):
    """PEFT's `ties`.

    Claims: identity, permutation, homogeneity, oddness, determinism.
    """

    options: PeftTiesOptions

    def rule(self) -> Rule:
        """The largest entries, elected."""
        return ties(self.options)


class PeftDare(FactorSpace):
    """PEFT's `dare_linear`, or `dare_ties` with `inner: ties`.

    Claims: identity, permutation, homogeneity, oddness, determinism.
    """

    options: PeftDareOptions

    def rule(self) -> Rule:
        """Entries drawn at random, added or elected."""
        return dare(self.options)


def _one_rank(layer: str, parts: Sequence[Factors]) -> int:
    ranks = sorted({part.down.shape[0] for part in parts})
    if len(ranks) > 1:
        raise UserError(
            f"layer '{layer}': experts of ranks {', '.join(map(str, ranks))}; this PEFT mode adds factors of one rank: "
            "take peft_svd, or linear"
        )
    return ranks[0]


def streams_of(job: LayerJob) -> list[torch.Generator]:
    """One for each expert that has the layer."""
    return [stream(job, i) for i, expert in enumerate(job.experts) if expert is not None]


def fault(options: PeftOptions, rank: int) -> float:
    """PEFT writes alpha = r = new rank, right for LoRA (scale 1), and keeps the flag of rsLoRA (scale sqrt(r))."""
    return math.sqrt(rank) if options.rslora else 1.0

"""`ties`: trim each delta, elect a sign per entry, average those that agree with it."""

from __future__ import annotations

import attrs

from selma_plugins.merging.claims import INDEPENDENCE, ODDNESS, USUAL
from selma_plugins.merging.elementwise import Elementwise
from selma_plugins.merging.options import TiesOptions
from selma_plugins.merging.ties_rules import RULES, Rule
from selma_plugins.merging.trims import Band, Trim


class Ties(Elementwise):
    """x_i = the int(density m n) largest |D_i|; g = sign(sum w_i x_i); D = sum w_i x_i / sum |w_i|.

    Yadav et al., TIES-Merging (arXiv 2306.01708), algorithm 1. Both sums go over the experts that agree with g; zeros
    neither vote nor count, and an even vote is +. A factor that all weights have cancels: use `scale`. The variants
    `peft`, `paper` (KnOTS' code) and `sd-mecha` vote, count and divide as those codes do (see `ties_rules`); `peft`
    gives 1/T of the others, and keeps a common factor.

    Claims: permutation, gauge_invariance, missing_layers, determinism, independence, oddness.
    With density 1 also identity and idempotence (`peft`: identity).
    """

    options: TiesOptions
    claims = USUAL | {INDEPENDENCE, ODDNESS}

    def trim(self) -> Trim:
        """The largest of the layer."""
        return Band(self.options.density)

    def rule(self) -> Rule:
        """By the variant's name."""
        rule, vote = RULES[self.options.variant], self.options.vote
        return rule if vote is None else attrs.evolve(rule, frequency=vote == "frequency")

"""`ties`: trim each delta, elect a sign per entry, average those that agree with it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from selma_core.errors import UserError
from selma_core.protocols import LayerJob
from selma_plugins.merging.claims import INDEPENDENCE, ODDNESS, USUAL
from selma_plugins.merging.elementwise import NO_BOUNDS, Elementwise
from selma_plugins.merging.options import TiesOptions
from selma_plugins.merging.ties_rules import RULES, Rule
from selma_plugins.merging.trims import Band, Bounds, Trim
from selma_plugins.merging.whole_model import Layers, thresholds


class Ties(Elementwise):
    """x_i = the int(density m n) largest |D_i|; g = sign(sum w_i x_i); D = sum w_i x_i / sum |w_i|.

    Yadav et al., TIES-Merging (arXiv 2306.01708), algorithm 1. Both sums go over the experts that agree with g; zeros
    neither vote nor count, and an even vote is +. A factor that all weights have cancels: use `scale`. The variants
    `peft`, `paper` (KnOTS' code) and `sd-mecha` vote, count and divide as those codes do (see `ties_rules`); `peft`
    gives 1/T of the others, and keeps a common factor. With `scope: model` the largest are those of all layers together
    (KnOTS' code), so layers keep different shares; that needs two passes over the files before the merge.

    Claims: permutation, gauge_invariance, missing_layers, determinism, independence, oddness.
    With density 1 also identity and idempotence (`peft`: identity).
    """

    options: TiesOptions
    claims = USUAL | {INDEPENDENCE, ODDNESS}

    def __init__(self, options: TiesOptions) -> None:
        super().__init__(options)
        self._lowest: dict[str, float] = {}

    def survey(self, layers: Layers) -> None:
        """Finds the thresholds of the whole model, where they are asked for."""
        if self.options.scope == "model":
            self._lowest = thresholds(layers, self.options.density)

    def bounds(self, job: LayerJob) -> Mapping[int, Bounds]:
        """With `scope: model` those of `survey`."""
        if self.options.scope == "layer":
            return NO_BOUNDS
        missing = [name for name in job.expert_ids if name not in self._lowest]
        if missing:
            raise UserError("ties: scope 'model' merges files only: it needs all layers of all experts")
        return {index: (self._lowest[name], math.inf) for index, name in enumerate(job.expert_ids)}

    def trim(self) -> Trim:
        """The largest of the layer."""
        return Band(self.options.density)

    def rule(self) -> Rule:
        """By the variant's name."""
        rule, vote = RULES[self.options.variant], self.options.vote
        return rule if vote is None else attrs.evolve(rule, frequency=vote == "frequency")

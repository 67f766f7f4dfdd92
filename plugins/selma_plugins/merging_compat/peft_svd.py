"""The `peft_*_svd` modes and `peft_svd`: PEFT's rules on deltas, cut to a rank. See `peft` for what is exact."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from selma_core.merging.algebra import concatenate, matrix, present, spectrum
from selma_core.merging.strategy import Strategy
from selma_core.protocols import Dense, Factors, LayerJob
from selma_plugins.merging.claims import HOMOGENEITY, IDEMPOTENCE, IDENTITY, ODDNESS, OPTIMALITY, USUAL
from selma_plugins.merging_compat.options import PeftDareOptions, PeftMagnitudeOptions, PeftOptions, PeftTiesOptions
from selma_plugins.merging_compat.peft import FactorSpace, fault, streams_of
from selma_plugins.merging_compat.rules import Rule, add, dare, magnitude, ties

ON_DELTAS = USUAL | {IDENTITY, HOMOGENEITY, ODDNESS}


class DeltaSpace(Strategy[PeftOptions]):
    """A rule on the deltas B_i A_i [m, n], cut to rank k = `rank`, or else the largest of the experts."""

    claims = ON_DELTAS | {IDEMPOTENCE, OPTIMALITY}

    def merge_layer(self, job: LayerJob) -> Factors | None:
        """B = U_k S_k and A = V_k, as PEFT stores them; fewer columns where the delta's own rank is smaller."""
        terms = present(job)
        if len(job.experts) == 1 or not terms:
            return FactorSpace(self.options).merge_layer(job)
        rank = self.options.rank or max(part.down.shape[0] for _, part in terms)
        u, s, v = spectrum(self.delta(terms, streams_of(job)))
        return Factors(up=u[:, :rank] * s[:rank] * fault(self.options, rank), down=v[:rank])

    def delta(self, terms: Sequence[tuple[float, Factors]], streams: Sequence[torch.Generator]) -> Factors | Dense:
        """What is cut."""
        return Dense(delta=self.rule()([matrix(part) for _, part in terms], [w for w, _ in terms], streams))

    def rule(self) -> Rule:
        """What merges the deltas."""
        return add


class PeftSvd(DeltaSpace):
    """PEFT's `svd`: the best approximation of sum w_i B_i A_i.

    Claims: permutation, gauge_invariance, missing_layers, determinism, identity, idempotence, homogeneity, oddness,
    optimality.
    """

    def delta(self, terms: Sequence[tuple[float, Factors]], streams: Sequence[torch.Generator]) -> Factors | Dense:
        """No need to form the m x n matrix."""
        del streams
        return concatenate(terms)


class PeftMagnitudeSvd(DeltaSpace):
    """PEFT's `magnitude_prune_svd`.

    Claims, with density 1: permutation, gauge_invariance, missing_layers, determinism, identity, idempotence,
    homogeneity, oddness, optimality.
    """

    options: PeftMagnitudeOptions

    def rule(self) -> Rule:
        """The largest entries, added."""
        return magnitude(self.options)


class PeftTiesSvd(DeltaSpace):
    """PEFT's `ties_svd`.

    Claims: permutation, gauge_invariance, missing_layers, determinism, identity, homogeneity, oddness.
    """

    options: PeftTiesOptions
    claims = ON_DELTAS

    def rule(self) -> Rule:
        """The largest entries, elected."""
        return ties(self.options)


class PeftDareSvd(DeltaSpace):
    """PEFT's `dare_linear_svd`, or `dare_ties_svd` with `inner: ties`.

    Claims, with density 1: permutation, gauge_invariance, missing_layers, determinism, identity, idempotence,
    homogeneity, oddness, optimality.
    """

    options: PeftDareOptions

    def rule(self) -> Rule:
        """Entries drawn at random, added or elected."""
        return dare(self.options)

"""`core`: merges the experts' coordinates in bases of what they read and of what they write."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from selma_core.merging.strategy import Strategy
from selma_core.protocols import Factors, LayerJob
from selma_plugins.merging.claims import ODDNESS, USUAL
from selma_plugins.merging.elementwise import merge_parts
from selma_plugins.merging.inner import rule_of
from selma_plugins.merging.options import CoreOptions
from selma_plugins.merging.spectra import thin
from selma_plugins.merging.stacked import column_space, transposed
from selma_plugins.merging.trims import Band, Drop, Trim


class Core(Strategy[CoreOptions]):
    """U = range of the B_i, V = range of the A_i'; M_i = U' D_i V (R x R); D = U inner(M_1, ..., M_T) V'.

    Panariello et al., Core Space (arXiv 2509.17786). A change of basis loses nothing, so `linear` is
    `linear`; `ties` and `dare` drop and vote on other numbers than in delta space, and are methods of their own. The
    published code takes the bases from the stacked factors (`basis: factors`), which depend on how a delta is split
    into B A; here they are the singular vectors of [D_1 ... D_T] and [D_1; ...; D_T], which do not.

    Claims: permutation, gauge_invariance, missing_layers, determinism, oddness.
    `basis: factors` loses gauge_invariance. `linear` claims what the strategy `linear` does.
    """

    claims = USUAL | {ODDNESS}

    def merge_layer(self, job: LayerJob) -> Factors | None:
        """Of the rank of all experts together."""
        here = [part for part in job.experts if part is not None]
        if not here:
            return None
        left, right = self._bases(here)
        inside = [
            None if part is None else Factors(up=left.T @ part.up, down=part.down @ right) for part in job.experts
        ]
        merged = merge_parts(job, inside, self._trim(), rule_of(self.options.inner), self.options.max_bytes)
        return None if merged is None else Factors(up=left @ merged, down=right.T)

    def _bases(self, parts: Sequence[Factors]) -> tuple[torch.Tensor, torch.Tensor]:
        other = [transposed(part) for part in parts]
        if self.options.basis == "factors":
            return _range(parts), _range(other)
        return column_space(parts), column_space(other)

    def _trim(self) -> Trim | None:
        density = self.options.density
        return {"linear": None, "ties": Band(density), "dare": Drop(density)}[self.options.inner]


def _range(parts: Sequence[Factors]) -> torch.Tensor:
    """The left singular vectors [m, q] of [B_1 ... B_T]."""
    return thin(torch.cat([part.up for part in parts], dim=1)).vectors

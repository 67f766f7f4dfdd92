"""`kohya_*`: what the merge scripts of kohya's sd-scripts compute, faults included. Outside of the scale contract.

    kohya_add      A = sum rho_i sqrt(a_i/a_0) A_i,  B = sum |rho_i| sqrt(a_i/a_0) B_i;  alpha a_0 is stored
    kohya_concat   the same factors side by side, rank R = sum r_i; alpha a_0 is stored and not raised
    kohya_svd      sum rho_i D_i, cut to a rank, then B = U S and A = V clamped at a quantile of all their entries

rho_i is the weight, a_i the alpha, a_0 that of the first file. In the first two, rho_i multiplies both factors: an
expert gets rho_i^2, with the sign of rho_i. Expert i of `kohya_concat` arrives at rho_i r_i / R times the wanted
rho_i D_i: T equal ones at 1/T for rho = 1. `kohya_add` has cross terms B_i A_j besides and asks for one rank.

Block weights (`block_weights`; the SDXL script has them) multiply both factors of `kohya_add` and `kohya_concat` too:
they act squared, and a negative one loses its sign. In `kohya_svd` they act once, with their sign.

What is exact: a_i is not seen in factors, whose B holds alpha_i / r_i already. `kohya_concat` and `kohya_svd` do not
depend on it (a_0 cancels; expert i gets rho_i |rho_i| alpha_i / R B_i A_i). `kohya_add` agrees where all experts share
one alpha; else the terms i = j agree and the cross terms differ.

Source: kohya-ss/sd-scripts `networks/{merge_lora,sdxl_merge_lora,svd_merge_lora}.py`.
"""

from __future__ import annotations

import math

import torch

from selma_core.errors import UserError
from selma_core.merging.algebra import concatenate, matrix, present
from selma_core.merging.blocks import block_factors
from selma_core.merging.options import MergeOptions
from selma_core.merging.strategy import Strategy
from selma_core.protocols import Factors, LayerJob
from selma_plugins.merging.claims import (
    DETERMINISM,
    GAUGE_INVARIANCE,
    IDEMPOTENCE,
    IDENTITY,
    INDEPENDENCE,
    MISSING_LAYERS,
    ODDNESS,
    PERMUTATION,
)
from selma_plugins.merging_compat.options import KohyaSvdOptions


class KohyaAdd(Strategy[MergeOptions]):
    """`merge_lora.py` and `sdxl_merge_lora.py`.

    Claims: identity, idempotence, permutation, oddness, determinism. Idempotence for weights above 0.
    """

    claims = frozenset({IDENTITY, IDEMPOTENCE, PERMUTATION, ODDNESS, DETERMINISM})

    def merge_layer(self, job: LayerJob) -> Factors | None:
        """B [m, r] and A [r, n]; a layer that an expert lacks is not counted.

        Raises:
            UserError: the ranks differ, as in the script.
        """
        parts = _weighted(job, self.options)
        ranks = sorted({part.down.shape[0] for part in parts})
        if len(ranks) > 1:
            raise UserError(
                f"layer '{job.name}': experts of ranks {', '.join(map(str, ranks))}; kohya_add adds factors of one "
                "rank: take kohya_concat, kohya_svd, or linear"
            )
        if not parts:
            return None
        up, down = torch.stack([part.up for part in parts]), torch.stack([part.down for part in parts])
        return Factors(up=up.sum(0), down=down.sum(0))


class KohyaConcat(Strategy[MergeOptions]):
    """The same scripts with `--concat`.

    Claims: identity, permutation, gauge_invariance, oddness, determinism. A zero expert is not as good as none: it
    has a share of R.
    """

    claims = frozenset({IDENTITY, PERMUTATION, GAUGE_INVARIANCE, ODDNESS, DETERMINISM})

    def merge_layer(self, job: LayerJob) -> Factors | None:
        """B [m, R] and A [R, n]: readers divide the first file's alpha by R, which makes expert i r_i / R of itself."""
        parts = _weighted(job, self.options)
        total = sum(part.down.shape[0] for part in parts)
        return concatenate([(part.down.shape[0] / total, part) for part in parts]) if parts else None


class KohyaSvd(Strategy[KohyaSvdOptions]):
    """`svd_merge_lora.py`, and PEFT's `svd` with `svd_clamp`. The clamp makes it not the best of its rank.

    The quantile is one of signed entries, so it follows the signs that the SVD routine happens to choose; where the
    rank asked for exceeds that of the delta it follows null-space vectors too, which are rounding. A convolution has
    the same rank as a linear layer (`--new_conv_rank` has no counterpart).

    Claims: missing_layers, determinism, independence. Order and gauge matter by way of that rounding.
    """

    claims = frozenset({MISSING_LAYERS, DETERMINISM, INDEPENDENCE})

    def merge_layer(self, job: LayerJob) -> Factors | None:
        """B = clamp(U_k S_k), A = clamp(V_k) at +-q, q the quantile of the entries of both; k = min(rank, m, n)."""
        terms = present(job)
        if not terms:
            return None
        rank = self.options.rank or max(part.down.shape[0] for _, part in terms)
        u, s, v = torch.linalg.svd(matrix(concatenate(terms)), full_matrices=False)
        up, down = u[:, :rank] * s[:rank], v[:rank]
        if self.options.clamp is not None:
            limit = float(torch.cat([up.flatten(), down.flatten()]).quantile(self.options.clamp))
            up, down = up.clamp(-limit, limit), down.clamp(-limit, limit)
        return Factors(up=up, down=down)


def _weighted(job: LayerJob, options: MergeOptions) -> list[Factors]:
    """The experts with their weight on both factors: rho b on A, |rho| b on B, for ratio rho and block weight b.

    The driver hands over w = rho b alone, and |rho| b is |w| with the sign of b.
    """
    blocks = (1.0,) * len(job.experts)
    if options.block_weights is not None:
        blocks = block_factors(options.block_weights, job.name, len(job.experts))
    return [
        Factors(up=part.up * abs(w) * math.copysign(1.0, b), down=part.down * w)
        for w, b, part in zip(job.weights, blocks, job.experts, strict=True)
        if part is not None
    ]

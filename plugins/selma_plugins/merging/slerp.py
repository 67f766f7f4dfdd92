"""`slerp`: two experts, on the arc between their deltas instead of the chord."""

from __future__ import annotations

import math

from selma_core.errors import UserError
from selma_core.merging.algebra import concatenate, inner, present
from selma_core.merging.options import MergeOptions
from selma_core.merging.strategy import Strategy
from selma_core.protocols import Factors, LayerJob
from selma_plugins.merging.claims import IDEMPOTENCE, USUAL

PARALLEL = 0.9995


class Slerp(Strategy[MergeOptions]):
    """D = [sin((1-t) theta) D_1 + sin(t theta) D_2] / sin theta, theta the angle of D_1, D_2; t = w_2 / (w_1 + w_2).

    Shoemake 1985, on deltas, never on full weights. (1-t) D_1 + t D_2 where |cos theta| > 0.9995 or one of them is
    zero. Exactly two experts. A factor that both weights have cancels: use `scale`.

    Claims: permutation, gauge_invariance, missing_layers, determinism, idempotence (of two).
    """

    claims = USUAL | {IDEMPOTENCE}

    def weights(self, count: int, base: str) -> tuple[float, ...]:
        """1/2 each, or the option's.

        Raises:
            UserError: for another number of experts than two.
        """
        _two(count)
        return super().weights(count, base)

    def merge_layer(self, job: LayerJob) -> Factors | None:
        """Exact, of rank r_1 + r_2. Weights 0 and 0 (a block switched off) give zero.

        Raises:
            UserError: not two experts, or weights that cancel.
        """
        _two(len(job.experts))
        terms = present(job)
        if not terms:
            return None
        total = sum(job.weights)
        if total == 0 and any(job.weights):
            raise UserError(f"slerp: weights {list(job.weights)} add up to 0; t = w_2 / (w_1 + w_2) needs another sum")
        shares = [(weight / total if total else 0.0, part) for weight, part in terms]
        return concatenate(_on_the_arc(shares))


def _on_the_arc(shares: list[tuple[float, Factors]]) -> list[tuple[float, Factors]]:
    if len(shares) < 2:
        return shares
    (_, one), (_, other) = shares
    lengths = inner(one, one) * inner(other, other)
    cosine = inner(one, other) / math.sqrt(lengths) if lengths > 0 else 1.0
    if abs(cosine) > PARALLEL:
        return shares
    theta = math.acos(cosine)
    return [(math.sin(share * theta) / math.sin(theta), part) for share, part in shares]


def _two(count: int) -> None:
    if count != 2:
        raise UserError(f"slerp merges exactly 2 experts, not {count}; for more: linear, model_stock or ties")

"""`linear`: D = scale * sum w_i B_i A_i. With weights 1/T it is SELMA's merge: the mean of what the experts do."""

from __future__ import annotations

from selma_core.protocols import Factors, LayerJob
from selma_plugins.merging.factors import concatenate, truncate
from selma_plugins.merging.options import LinearOptions
from selma_plugins.merging.weights import given_or_mean


class Linear:
    """`selma_core.protocols.MergeStrategy`; exact by concatenation along the rank, unless `rank` is set."""

    def __init__(self, options: LinearOptions) -> None:
        self._options = options

    def weights(self, count: int, base: str) -> tuple[float, ...]:
        """1/T each, or the option's."""
        del base
        return given_or_mean(self._options.weights, count)

    def merge_layer(self, job: LayerJob) -> Factors | None:
        """A layer that an expert lacks counts as a zero delta: the other weights stay as they are."""
        scale = self._options.scale
        terms = [(scale * w, part) for w, part in zip(job.weights, job.experts, strict=True) if part is not None]
        if not terms:
            return None
        merged = concatenate(terms)
        rank = self._options.rank
        return merged if rank is None or merged.down.shape[0] <= rank else truncate(merged, rank)

"""`threshold`: every image that is good enough, however many a prompt has.

Source: GORS keeps images above a threshold of the reward, T2I-CompBench, arXiv 2307.06350; DreamSync, 2311.17946.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selma_core.data import ImageItem
from selma_core.protocols import SelectJob
from selma_plugins.selection.candidates import Candidate, Pool, pools, warn_of_empty
from selma_plugins.selection.options import ThresholdOptions


class Threshold:
    """`selma_core.protocols.Selector`. Where `keep` cuts, the widest margin over the bounds stays, then the lower k."""

    def __init__(self, options: ThresholdOptions) -> None:
        self._options = options

    def select(self, job: SelectJob) -> Sequence[tuple[ImageItem, Mapping[str, Any]]]:
        """The kept items in prompt order, with their values and the rewards whose bound they pass.

        Raises:
            UserError: when the scores do not hold a reward.
        """
        found = pools(job, list(self._options.bounds), "threshold", drop_blank=self._options.drop_blank)
        kept = {prompt: self._fit(pool) for prompt, pool in found.items()}
        warn_of_empty(job, kept, "threshold")
        return [pair for pairs in kept.values() for pair in pairs]

    def _fit(self, pool: Pool) -> list[tuple[ImageItem, dict[str, Any]]]:
        enough = all if self._options.need == "all" else any
        fit = [one for one in pool.candidates if enough(margin >= 0 for margin in self._margins(one).values())]
        if self._options.keep:
            fit = sorted(fit, key=lambda one: (-self._worth(one), one.item.k))[: self._options.keep]
        return [(one.item, self._why(one, pool.of)) for one in fit]

    def _margins(self, one: Candidate) -> dict[str, float]:
        low = self._options.lowest
        bounds = self._options.bounds
        return {m: bound - one.values[m] if m in low else one.values[m] - bound for m, bound in bounds.items()}

    def _worth(self, one: Candidate) -> float:
        """`all` is as strong as the weakest reward, `any` as the strongest."""
        margins = self._margins(one).values()
        return min(margins) if self._options.need == "all" else max(margins)

    def _why(self, one: Candidate, of: int) -> dict[str, Any]:
        passed = [metric for metric, margin in self._margins(one).items() if margin >= 0]
        return {"rule": "threshold", "of": of, "values": dict(one.values), "passed": passed}

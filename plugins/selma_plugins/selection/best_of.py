"""`best_of`: the best k candidates of each prompt by one metric, or by a weighted sum of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from selma_core.data import ImageItem
from selma_core.protocols import SelectJob
from selma_plugins.selection.candidates import Candidate, Pool, pools, warn_of_empty
from selma_plugins.selection.options import BestOfOptions
from selma_plugins.selection.order import zscores
from selma_plugins.selection.prompts import kept_prompts


@attrs.frozen
class _Ranked:
    candidate: Candidate
    value: float
    parts: Mapping[str, float]


class BestOf:
    """`selma_core.protocols.Selector`; an image without a value is never kept, ties go to the lower k.

    Of several rewards it takes sum(weight x value), or with `mode: zscore_sum` of their z-scores among the images of
    the prompt, so that a reward of wider scale does not drown the others.
    """

    def __init__(self, options: BestOfOptions) -> None:
        self._options = options
        self._rewards = options.rewards or [options.metric]

    def select(self, job: SelectJob) -> Sequence[tuple[ImageItem, Mapping[str, Any]]]:
        """The kept items in prompt order, with metric, value, place and number of candidates.

        Raises:
            UserError: when the scores do not hold a metric.
        """
        options = self._options
        found = pools(job, self._rewards, "best_of", drop_blank=options.drop_blank)
        ranked = {prompt: self._ranked(pool) for prompt, pool in found.items()}
        warn_of_empty(job, ranked, "best_of")
        best = {prompt: self._sign * mine[0].value for prompt, mine in ranked.items() if mine}
        kept = kept_prompts(best, top_frac=options.top_frac, limit=options.limit)
        return [
            (one.candidate.item, self._why(place, one, found[prompt]))
            for prompt in found
            if prompt in kept
            for place, one in enumerate(ranked[prompt][: options.keep])
        ]

    @property
    def _sign(self) -> float:
        return -1.0 if self._options.lowest else 1.0

    def _ranked(self, pool: Pool) -> list[_Ranked]:
        bound = self._options.threshold
        made = self._combined(pool.candidates)
        fit = [one for one in made if bound is None or self._sign * one.value >= self._sign * bound]
        return sorted(fit, key=lambda one: (-self._sign * one.value, one.candidate.item.k))

    def _combined(self, candidates: Sequence[Candidate]) -> list[_Ranked]:
        if not candidates:
            return []
        if not self._options.rewards:
            return [_Ranked(one, one.values[self._options.metric], {}) for one in candidates]
        columns = {metric: [one.values[metric] for one in candidates] for metric in self._rewards}
        if self._options.mode == "zscore_sum":
            columns = {metric: zscores(values) for metric, values in columns.items()}
        weights = {metric: self._options.weights.get(metric, 1.0) for metric in self._rewards}
        parts = [{metric: weights[metric] * columns[metric][i] for metric in columns} for i in range(len(candidates))]
        return [_Ranked(one, sum(mine.values()), mine) for one, mine in zip(candidates, parts, strict=True)]

    def _why(self, place: int, found: _Ranked, pool: Pool) -> dict[str, Any]:
        metric = self._options.metric or self._options.mode
        why: dict[str, Any] = {"rule": "best_of", "metric": metric, "value": found.value, "place": place, "of": pool.of}
        why["values"] = dict(found.candidate.values)
        return why | ({"parts": dict(found.parts)} if found.parts else {})

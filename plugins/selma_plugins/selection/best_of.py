"""`best_of`: the best k candidates of each prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from selma_core.data import ImageItem
from selma_core.errors import UserError, did_you_mean
from selma_core.protocols import SelectJob
from selma_plugins.selection.options import BestOfOptions


@attrs.frozen
class _Candidate:
    item: ImageItem
    value: float


class BestOf:
    """`selma_core.protocols.Selector`; an image without a value is never kept, ties go to the lower k."""

    def __init__(self, options: BestOfOptions) -> None:
        self._options = options

    def select(self, job: SelectJob) -> Sequence[tuple[ImageItem, Mapping[str, Any]]]:
        """The kept items in prompt order, with metric, value, place and number of candidates.

        Raises:
            UserError: when the scores do not hold the metric.
        """
        values = self._values(job.scores)
        groups: dict[str, list[ImageItem]] = {}
        for item in job.items:
            groups.setdefault(item.prompt.id, []).append(item)
        ranked = {prompt: self._ranked(items, values) for prompt, items in groups.items()}
        empty = sum(not found for found in ranked.values())
        if empty:
            job.context.warn(f"best_of: {empty} of {len(ranked)} prompts keep no image")
        kept = self._limited(ranked)
        return [
            (found.item, self._why(place, found, len(groups[prompt])))
            for prompt in groups
            if prompt in kept
            for place, found in enumerate(ranked[prompt][: self._options.keep])
        ]

    def _values(self, scores: Mapping[str, Mapping[str, float | None]]) -> Mapping[str, float | None]:
        if self._options.metric not in scores:
            wanted = self._options.metric
            raise UserError(f"best_of: the scores hold no metric '{wanted}': {did_you_mean(wanted, scores)}")
        return scores[self._options.metric]

    def _ranked(self, items: Sequence[ImageItem], values: Mapping[str, float | None]) -> list[_Candidate]:
        sign = -1.0 if self._options.lowest else 1.0
        bound = self._options.threshold
        found = [_Candidate(i, v) for i in items if (v := values.get(i.item_id)) is not None]
        fit = [c for c in found if bound is None or sign * c.value >= sign * bound]
        return sorted(fit, key=lambda c: (-sign * c.value, c.item.k))

    def _limited(self, ranked: Mapping[str, Sequence[_Candidate]]) -> set[str]:
        """The prompts kept: all, or the `limit` whose best image is best (ties: first in order)."""
        prompts = [prompt for prompt, found in ranked.items() if found]
        if not self._options.limit:
            return set(prompts)
        sign = -1.0 if self._options.lowest else 1.0
        return set(sorted(prompts, key=lambda p: -sign * ranked[p][0].value)[: self._options.limit])

    def _why(self, place: int, found: _Candidate, of: int) -> dict[str, Any]:
        return {"rule": "best_of", "metric": self._options.metric, "value": found.value, "place": place, "of": of}

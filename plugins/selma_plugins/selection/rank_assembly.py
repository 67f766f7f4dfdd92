"""`rank_assembly`: each reward ranks the images of a prompt, the ranks are added, the lowest sum wins.

Source: assemble reward-ranked learning, FineRewards, arXiv 2305.19599v1; a Borda count, free of the rewards' scales.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from selma_core.data import ImageItem
from selma_core.protocols import SelectJob
from selma_plugins.selection.candidates import Candidate, Pool, pools, warn_of_empty
from selma_plugins.selection.options import RankAssemblyOptions
from selma_plugins.selection.order import ranks, sorted_indices
from selma_plugins.selection.prompts import kept_prompts


@attrs.frozen
class _Assembled:
    candidate: Candidate
    ranks: Mapping[str, float]
    total: float


class RankAssembly:
    """`selma_core.protocols.Selector`.

    Equal sums go to the better rank under `tie_break` (the rewards in their order when it is empty), then to the lower
    sample index; so the choice does not depend on the order of the files.
    """

    def __init__(self, options: RankAssemblyOptions) -> None:
        self._options = options

    def select(self, job: SelectJob) -> Sequence[tuple[ImageItem, Mapping[str, Any]]]:
        """The kept items in prompt order, each with the rank that every reward gave it.

        Raises:
            UserError: when the scores do not hold a reward.
        """
        options = self._options
        found = pools(job, options.rewards, "rank_assembly", drop_blank=options.drop_blank)
        ranked = {prompt: self._ranked(pool.candidates) for prompt, pool in found.items()}
        warn_of_empty(job, ranked, "rank_assembly")
        best = {prompt: -mine[0].total for prompt, mine in ranked.items() if mine}
        kept = kept_prompts(best, top_frac=options.top_frac, limit=options.limit, worst_first=options.released)
        return [
            (one.candidate.item, self._why(place, one, found[prompt]))
            for prompt in found
            if prompt in kept
            for place, one in enumerate(ranked[prompt][: options.keep])
        ]

    def _ranked(self, candidates: Sequence[Candidate]) -> list[_Assembled]:
        columns = {metric: self._ranks(metric, candidates) for metric in self._options.rewards}
        made = []
        for place, one in enumerate(candidates):
            mine = {metric: column[place] for metric, column in columns.items()}
            total = sum(self._options.weights.get(metric, 1.0) * rank for metric, rank in mine.items())
            made.append(_Assembled(one, mine, total))
        return sorted(made, key=self._key)

    def _ranks(self, metric: str, candidates: Sequence[Candidate]) -> list[float]:
        values = [one.values[metric] for one in candidates]
        if self._options.released:
            return sorted_indices(values)
        return ranks(values, lowest=metric in self._options.lowest)

    def _key(self, one: _Assembled) -> tuple[float, ...]:
        # Sums of the same ranks in floating point must not differ by the order of their terms.
        ties = () if self._options.released else (self._options.tie_break or self._options.rewards)
        return (round(one.total, 9), *(one.ranks[metric] for metric in ties), one.candidate.item.k)

    def _why(self, place: int, one: _Assembled, pool: Pool) -> dict[str, Any]:
        return {
            "rule": "rank_assembly",
            "value": one.total,
            "place": place,
            "of": pool.of,
            "values": dict(one.candidate.values),
            "ranks": dict(one.ranks),
            "best_by": [metric for metric, rank in one.ranks.items() if rank == min(self._column(metric, pool))],
            **({"released": True} if self._options.released else {}),
        }

    def _column(self, metric: str, pool: Pool) -> list[float]:
        return self._ranks(metric, pool.candidates)

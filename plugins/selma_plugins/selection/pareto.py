"""`pareto`: the images of a prompt that no other image beats in every reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selma_core.data import ImageItem
from selma_core.protocols import SelectJob
from selma_plugins.selection.candidates import Candidate, Pool, pools, warn_of_empty
from selma_plugins.selection.options import ParetoOptions
from selma_plugins.selection.order import front, ranks


class Pareto:
    """`selma_core.protocols.Selector`. Where `keep` cuts the front, the lowest sum of ranks stays, then the lower k."""

    def __init__(self, options: ParetoOptions) -> None:
        self._options = options

    def select(self, job: SelectJob) -> Sequence[tuple[ImageItem, Mapping[str, Any]]]:
        """The kept items in prompt order, with their values and the rewards in which they are the best.

        Raises:
            UserError: when the scores do not hold a reward.
        """
        found = pools(job, self._options.rewards, "pareto", drop_blank=self._options.drop_blank)
        kept = {prompt: self._front(pool) for prompt, pool in found.items()}
        warn_of_empty(job, kept, "pareto")
        return [pair for pairs in kept.values() for pair in pairs]

    def _front(self, pool: Pool) -> list[tuple[ImageItem, dict[str, Any]]]:
        images = pool.candidates
        columns = {metric: self._ranks(metric, images) for metric in self._options.rewards}
        rows = [{metric: column[place] for metric, column in columns.items()} for place in range(len(images))]
        best = front([[-rank for rank in row.values()] for row in rows])
        order = sorted(best, key=lambda i: (sum(rows[i].values()), images[i].item.k))
        order = order[: self._options.keep] if self._options.keep else order
        return [
            (images[i].item, self._why(place, images[i], rows[i], columns, len(best), pool.of))
            for place, i in enumerate(order)
        ]

    def _ranks(self, metric: str, images: Sequence[Candidate]) -> list[float]:
        return ranks([one.values[metric] for one in images], lowest=metric in self._options.lowest)

    def _why(
        self,
        place: int,
        one: Candidate,
        mine: Mapping[str, float],
        columns: Mapping[str, Sequence[float]],
        size: int,
        of: int,
    ) -> dict[str, Any]:
        return {
            "rule": "pareto",
            "place": place,
            "front": size,
            "of": of,
            "values": dict(one.values),
            "ranks": dict(mine),
            "best_by": [metric for metric, rank in mine.items() if rank == min(columns[metric])],
        }

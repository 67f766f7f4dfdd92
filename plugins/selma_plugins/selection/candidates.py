"""What all selectors over rewards share: the candidates of each prompt with their values, and what was dropped.

An image without a value is no bad image: it is dropped and counted, never taken for 0. So are blank images, whatever
they scored. Rewards are metrics of the scores that the stage reads, whichever evaluators they come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from selma_core.data import ImageItem
from selma_core.errors import UserError, did_you_mean
from selma_core.protocols import SelectJob
from selma_plugins.selection.blank import is_blank


@attrs.frozen(kw_only=True)
class Candidate:
    """An image that can be chosen. Attributes: values = metric -> value, one for every reward."""

    item: ImageItem
    values: Mapping[str, float]


@attrs.frozen(kw_only=True)
class Pool:
    """The candidates of one prompt. Attributes: of = images that it had, those dropped included."""

    candidates: tuple[Candidate, ...]
    of: int


def pools(job: SelectJob, rewards: Sequence[str], rule: str, *, drop_blank: bool) -> dict[str, Pool]:
    """Prompt id -> its pool, in prompt order; within a pool by sample index, so that the order of files is no matter.

    Args: rule = the selector's name, for messages.

    Raises:
        UserError: when the scores do not hold a reward.
    """
    values = {metric: _values(job, metric, rule) for metric in rewards}
    groups: dict[str, list[ImageItem]] = {}
    for item in job.items:
        groups.setdefault(item.prompt.id, []).append(item)
    blank = {item.item_id for item in job.items if is_blank(item.path)} if drop_blank else set()
    found = {}
    for prompt, items in groups.items():
        seen = [item for item in sorted(items, key=lambda item: item.k) if item.item_id not in blank]
        found[prompt] = Pool(candidates=tuple(_scored(seen, values)), of=len(items))
    kept = sum(len(pool.candidates) for pool in found.values())
    _report(job, rule, blank=len(blank), missing=len(job.items) - len(blank) - kept)
    return found


def warn_of_empty(job: SelectJob, kept: Mapping[str, Sequence[Any]], rule: str) -> None:
    """One line when prompts keep nothing. Args: kept = prompt id -> what it keeps."""
    empty = sum(not found for found in kept.values())
    if empty:
        job.context.warn(f"{rule}: {empty} of {len(kept)} prompts keep no image")


def _values(job: SelectJob, metric: str, rule: str) -> Mapping[str, float | None]:
    if metric not in job.scores:
        hint = did_you_mean(metric, job.scores) if job.scores else "name the evaluators under 'from', like scores: rate"
        raise UserError(f"{rule}: the scores hold no metric '{metric}': {hint}")
    return job.scores[metric]


def _scored(items: Sequence[ImageItem], values: Mapping[str, Mapping[str, float | None]]) -> list[Candidate]:
    found = []
    for item in items:
        mine = {metric: value for metric, table in values.items() if (value := table.get(item.item_id)) is not None}
        if len(mine) == len(values):
            found.append(Candidate(item=item, values=mine))
    return found


def _report(job: SelectJob, rule: str, *, blank: int, missing: int) -> None:
    total = len(job.items)
    if blank:
        job.context.warn(f"{rule}: {blank} of {total} images are blank and were dropped")
    if missing:
        job.context.warn(f"{rule}: {missing} of {total} images have no value for a reward and were dropped")

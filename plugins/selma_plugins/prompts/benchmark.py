"""The prompts of a benchmark as a prompt set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from selma_core.data import Prompt, PromptBatch
from selma_core.errors import UserError, did_you_mean
from selma_core.protocols import Context, PromptJob
from selma_plugins.benchmarks.item import BenchmarkItem
from selma_plugins.benchmarks.read import contents, read_items
from selma_plugins.prompts.options import BenchmarkPromptsOptions


class BenchmarkPrompts:
    """All prompts of a benchmark, or a fixed subset; ids are the benchmark's own."""

    def __init__(self, options: BenchmarkPromptsOptions) -> None:
        self._options = options

    def prompts(self, job: PromptJob) -> Iterator[PromptBatch]:
        """Yields one batch, in the benchmark's order; `meta["group"]` holds the prompt's group."""
        if job.done:
            return
        found = list(read_items(job.context.entry("benchmarks", self._options.benchmark)).values())
        wanted = of_groups(found, self._options.groups, self._options.benchmark)
        chosen = subset(wanted, self._options.per_group, self._options.limit)
        if len(chosen) < len(found):
            name = self._options.benchmark
            job.context.warn(f"a fixed subset of benchmark '{name}': {len(chosen)} of {len(found)} prompts")
        yield PromptBatch(accepted=tuple(Prompt(id=one.id, text=one.text, meta={"group": one.group}) for one in chosen))

    def contents(self, context: Context) -> Mapping[str, Any]:
        """`{format, prompts, questions, groups: {name: prompts}}` of the whole benchmark."""
        return contents(context.entry("benchmarks", self._options.benchmark))


def of_groups(prompts: Sequence[BenchmarkItem], groups: Sequence[str], benchmark: str) -> list[BenchmarkItem]:
    """The prompts of the named groups; of all, where none is named.

    Raises:
        UserError: the benchmark has no such group.
    """
    known = dict.fromkeys(one.group for one in prompts if one.group)
    for group in groups:
        if group not in known:
            hint = did_you_mean(group, known) if known else "it has no groups"
            raise UserError(f"benchmark '{benchmark}' has no group '{group}'; {hint}")
    return [one for one in prompts if not groups or one.group in groups]


def subset(prompts: Sequence[BenchmarkItem], per_group: int | None, limit: int | None) -> list[BenchmarkItem]:
    """`per_group` prompts of each group, then `limit` of these, chosen by the hash of their ids.

    The choice depends on no seed and on no other prompt's text, and a smaller subset lies within a larger one.
    """
    ranked = sorted(prompts, key=_rank)
    if per_group is not None:
        by_group = sorted(ranked, key=lambda one: one.group)  # stable: keeps the rank within a group
        ranked = [one for _, group in groupby(by_group, lambda one: one.group) for one in list(group)[:per_group]]
    kept = {one.id for one in sorted(ranked, key=_rank)[:limit]}
    return [one for one in prompts if one.id in kept]


def _rank(prompt: BenchmarkItem) -> str:
    return hashlib.sha256(prompt.id.encode()).hexdigest()

"""The bundled search for merge weights."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import MergeStrategyRecord
from selma_plugins.merging_search.options import SearchOptions


@hookimpl
def selma_merge_strategies() -> Iterator[MergeStrategyRecord]:
    """Weights by gradient-free search."""
    yield MergeStrategyRecord(
        name="search",
        summary="weights fitted on held-out prompts by CMA-ES, with racing on common noise",
        factory="selma_plugins.merging_search.search:Search",
        options=SearchOptions,
        requires="search",
        reference="arXiv 2307.13269 (LoraHub); arXiv 1604.00772 (CMA-ES)",
    )

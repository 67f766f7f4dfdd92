"""The bundled selectors."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import SelectorRecord
from selma_plugins.selection.options import BestOfOptions, ParetoOptions, RankAssemblyOptions, ThresholdOptions


@hookimpl
def selma_selectors() -> Iterator[SelectorRecord]:
    """All candidates, or those that one reward or several choose."""
    yield SelectorRecord(
        name="keep_all",
        summary="every image of every set, as it is",
        factory="selma_plugins.selection.keep_all:KeepAll",
    )
    yield SelectorRecord(
        name="best_of",
        summary="the best k images of each prompt by a metric, or by a weighted sum of several",
        factory="selma_plugins.selection.best_of:BestOf",
        options=BestOfOptions,
        revision=2,
        reference="DreamSync, arXiv 2311.17946",
    )
    yield SelectorRecord(
        name="rank_assembly",
        summary="each reward ranks the images of a prompt; the lowest sum of ranks is kept (Borda)",
        factory="selma_plugins.selection.rank_assembly:RankAssembly",
        options=RankAssemblyOptions,
        reference="FineRewards, arXiv 2305.19599v1",
    )
    yield SelectorRecord(
        name="pareto",
        summary="the images of a prompt that no other image beats in every reward",
        factory="selma_plugins.selection.pareto:Pareto",
        options=ParetoOptions,
    )
    yield SelectorRecord(
        name="threshold",
        summary="every image whose rewards reach their bounds",
        factory="selma_plugins.selection.threshold:Threshold",
        options=ThresholdOptions,
        reference="GORS, T2I-CompBench, arXiv 2307.06350",
    )

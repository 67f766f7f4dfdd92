"""The bundled selectors."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import SelectorRecord
from selma_plugins.selection.options import BestOfOptions


@hookimpl
def selma_selectors() -> Iterator[SelectorRecord]:
    """All candidates, or the best by a metric."""
    yield SelectorRecord(
        name="keep_all",
        summary="every image of every set, as it is",
        factory="selma_plugins.selection.keep_all:KeepAll",
    )
    yield SelectorRecord(
        name="best_of",
        summary="the best k images of each prompt by a metric",
        factory="selma_plugins.selection.best_of:BestOf",
        options=BestOfOptions,
        reference="DreamSync, arXiv 2311.17946",
    )

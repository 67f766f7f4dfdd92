"""TIFA."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import EvaluatorRecord
from selma_plugins.tifa.options import TifaOptions


@hookimpl
def selma_evaluators() -> Iterator[EvaluatorRecord]:
    """Yields `tifa`."""
    yield EvaluatorRecord(
        name="tifa",
        summary="TIFA: questions with choices about each image, from a file or written by a chat model",
        factory="selma_plugins.tifa.evaluator:Tifa",
        options=TifaOptions,
        reference="Hu et al. 2023, TIFA, arXiv 2303.11897",
    )

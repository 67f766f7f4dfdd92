"""The bundled evaluators."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import EvaluatorRecord
from selma_plugins.evaluation.options import DsgOptions


@hookimpl
def selma_evaluators() -> Iterator[EvaluatorRecord]:
    """The Davidsonian Scene Graph metric."""
    yield EvaluatorRecord(
        name="dsg",
        summary="yes/no questions about each image, scored along their dependencies",
        factory="selma_plugins.evaluation.dsg:Dsg",
        options=DsgOptions,
        reader="selma_plugins.evaluation.dsg_answers:read_answers",
        revision=1,
        reference="Cho et al. 2024, Davidsonian Scene Graph, arXiv 2310.18235",
    )

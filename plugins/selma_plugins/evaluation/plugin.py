"""The bundled evaluators."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import EvaluatorRecord
from selma_plugins.evaluation.options import DpgOptions, DsgOptions


@hookimpl
def selma_evaluators() -> Iterator[EvaluatorRecord]:
    """Yields `dsg`, `dpg`."""
    yield EvaluatorRecord(
        name="dsg",
        summary="yes/no questions about each image, scored along their dependencies",
        factory="selma_plugins.evaluation.dsg:Dsg",
        options=DsgOptions,
        reader="selma_plugins.evaluation.dsg_answers:read_answers",
        revision=1,
        reference="Cho et al. 2024, Davidsonian Scene Graph, arXiv 2310.18235",
    )
    yield EvaluatorRecord(
        name="dpg",
        summary="DPG-Bench: DSG's questions about dense prompts, as released with its bugs or repaired",
        factory="selma_plugins.evaluation.dpg:Dpg",
        options=DpgOptions,
        reference="Hu et al. 2024, ELLA, arXiv 2403.05135",
    )

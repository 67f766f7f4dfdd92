"""The bundled world's plugins: an oracle and a trained network as chat models, and a learned judge for selection."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import ChatModelRecord, EvaluatorRecord
from selma_plugins.shapes.judge.options import JudgeOptions
from selma_plugins.shapes.vqa.options import VqaOptions


@hookimpl
def selma_chat_models() -> Iterator[ChatModelRecord]:
    """The two evaluating judges of the shapes world: one that measures, one that was trained."""
    yield ChatModelRecord(
        name="shapes_oracle",
        summary="answers yes/no questions about shapes images by measuring their pixels",
        factory="selma_plugins.shapes.chat:ShapesOracle",
        revision=1,
    )
    yield ChatModelRecord(
        name="shapes_vqa",
        summary="answers the same questions by a small network trained on the world (never for selection)",
        factory="selma_plugins.shapes.vqa.chat:ShapesVqa",
        options=VqaOptions,
        reference="after FiLM, arXiv 1709.07871",
    )


@hookimpl
def selma_evaluators() -> Iterator[EvaluatorRecord]:
    """The learned judge of the shapes world."""
    yield EvaluatorRecord(
        name="shapes_judge",
        summary="agreement of a prompt and a picture, read by a small network trained on the world (for selection)",
        factory="selma_plugins.shapes.judge.evaluator:ShapesJudge",
        options=JudgeOptions,
        reference="in the place of DreamSync's VQA models, arXiv 2311.17946",
    )

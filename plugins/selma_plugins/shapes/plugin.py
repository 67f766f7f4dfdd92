"""The bundled world's plugins: the oracle that measures pixels as a chat model, and a learned judge as an evaluator."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import ChatModelRecord, EvaluatorRecord
from selma_plugins.shapes.judge.options import JudgeOptions


@hookimpl
def selma_chat_models() -> Iterator[ChatModelRecord]:
    """The perception oracle of the shapes world."""
    yield ChatModelRecord(
        name="shapes_oracle",
        summary="answers yes/no questions about shapes images by measuring their pixels",
        factory="selma_plugins.shapes.chat:ShapesOracle",
        revision=1,
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

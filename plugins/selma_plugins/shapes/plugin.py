"""The bundled world's plugins: its ground truth as an image generator, the oracle as a chat model, a learned judge."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import ChatModelRecord, EvaluatorRecord, ImageGeneratorRecord
from selma_plugins.shapes.judge.options import JudgeOptions
from selma_plugins.shapes.options import ScenesOptions


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
def selma_image_generators() -> Iterator[ImageGeneratorRecord]:
    """Ground truth of the shapes world."""
    yield ImageGeneratorRecord(
        name="shapes_scenes",
        summary="ground truth: pictures of the shapes world, rendered from what a prompt says, without a model",
        factory="selma_plugins.shapes.scenes:Scenes",
        options=ScenesOptions,
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

"""The bundled world's plugins: ground truth as an image generator, two judges as chat models, one for selection."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import ChatModelRecord, EvaluatorRecord, ImageGeneratorRecord
from selma_plugins.shapes.clip.options import ShapesDenscoreOptions
from selma_plugins.shapes.judge.options import JudgeOptions
from selma_plugins.shapes.options import EyesOptions, RaterOptions, ScenesOptions
from selma_plugins.shapes.vqa.options import VqaOptions


@hookimpl
def selma_chat_models() -> Iterator[ChatModelRecord]:
    """The two evaluating judges of the shapes world, and three stand-ins for the models behind rewards."""
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
    yield ChatModelRecord(
        name="shapes_captioner",
        summary="captions shapes images with errors at stated rates (for rewards, never to judge)",
        factory="selma_plugins.shapes.rewards.chat:ShapesCaptioner",
        options=EyesOptions,
    )
    yield ChatModelRecord(
        name="shapes_segmenter",
        summary="tags and segments of shapes images with errors at stated rates (for rewards, never to judge)",
        factory="selma_plugins.shapes.rewards.chat:ShapesSegmenter",
        options=EyesOptions,
    )
    yield ChatModelRecord(
        name="shapes_rater",
        summary="rates things by a prompt of the shapes world, without an image (for rewards)",
        factory="selma_plugins.shapes.rewards.chat:ShapesRater",
        options=RaterOptions,
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
    """The learned judge of the shapes world, as such and as a CLIP-like scorer."""
    yield EvaluatorRecord(
        name="shapes_judge",
        summary="agreement of a prompt and a picture, read by a small network trained on the world (for selection)",
        factory="selma_plugins.shapes.judge.evaluator:ShapesJudge",
        options=JudgeOptions,
        reference="in the place of DreamSync's VQA models, arXiv 2311.17946",
    )
    yield EvaluatorRecord(
        name="shapes_denscore",
        summary="denscore on the readers of shapes_judge: the world's CLIP-like model, with a reward",
        factory="selma_plugins.shapes.clip.evaluator:ShapesDenscore",
        reward="selma_plugins.shapes.clip.evaluator:ShapesDenscoreReward",
        options=ShapesDenscoreOptions,
        reference="Liu et al. 2024, LongAlign, arXiv 2410.11817",
    )

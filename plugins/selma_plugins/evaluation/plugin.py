"""The bundled evaluators."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import EvaluatorRecord
from selma_plugins.evaluation.options import DpgOptions, DsgOptions
from selma_plugins.evaluation.rewards.options import CaptionRewardOptions, SegmentRewardOptions


@hookimpl
def selma_evaluators() -> Iterator[EvaluatorRecord]:
    """Yields `dsg`, `dpg`, `caption_reward`, `segment_reward`."""
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
    yield EvaluatorRecord(
        name="caption_reward",
        summary="cosine of the prompt and of a caption that a chat model writes of the image",
        factory="selma_plugins.evaluation.rewards.caption:CaptionReward",
        options=CaptionRewardOptions,
        reference="FineRewards, arXiv 2305.19599v1",
    )
    yield EvaluatorRecord(
        name="segment_reward",
        summary="things seen in the image (tags or segments), rated by how likely the prompt implies them",
        factory="selma_plugins.evaluation.rewards.segment:SegmentReward",
        options=SegmentRewardOptions,
        reference="FineRewards, arXiv 2305.19599v1",
    )

"""The bundled preference models: evaluators, each with its reward."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import EvaluatorRecord
from selma_plugins.preference.options import (
    ClipScoreOptions,
    DenscoreOptions,
    Hps20Options,
    Hps21Options,
    ImageRewardOptions,
    PickScoreOptions,
)

_FOLDER = "selma_plugins.preference"
_HPS = "Wu et al. 2023, Human Preference Score v2, arXiv 2306.09341"


@hookimpl
def selma_evaluators() -> Iterator[EvaluatorRecord]:
    """PickScore, HPSv2 (two versions), ImageReward, CLIPScore, Denscore."""
    yield EvaluatorRecord(
        name="pickscore",
        summary="how likely people are to pick the image for its prompt (CLIP-H)",
        factory=f"{_FOLDER}.pickscore:PickScore",
        reward=f"{_FOLDER}.rewards:PickScoreReward",
        options=PickScoreOptions,
        reference="Kirstain et al. 2023, Pick-a-Pic, arXiv 2305.01569",
    )
    yield EvaluatorRecord(
        name="hpsv2",
        summary="human preference score v2.0 (not comparable with v2.1)",
        factory=f"{_FOLDER}.hpsv2:Hps20",
        reward=f"{_FOLDER}.rewards:Hps20Reward",
        options=Hps20Options,
        reference=_HPS,
    )
    yield EvaluatorRecord(
        name="hpsv21",
        summary="human preference score v2.1 (not comparable with v2.0)",
        factory=f"{_FOLDER}.hpsv2:Hps21",
        reward=f"{_FOLDER}.rewards:Hps21Reward",
        options=Hps21Options,
        reference=_HPS,
    )
    yield EvaluatorRecord(
        name="imagereward",
        summary="human preference by a BLIP with a regression head; reads 35 tokens of a prompt",
        factory=f"{_FOLDER}.imagereward:ImageReward",
        reward=f"{_FOLDER}.rewards:ImageRewardReward",
        options=ImageRewardOptions,
        reference="Xu et al. 2023, ImageReward, arXiv 2304.05977",
    )
    yield EvaluatorRecord(
        name="clipscore",
        summary="cosine of image and prompt under a CLIP",
        factory=f"{_FOLDER}.clipscore:ClipScore",
        reward=f"{_FOLDER}.rewards:ClipScoreReward",
        options=ClipScoreOptions,
        reference="Hessel et al. 2021, CLIPScore, arXiv 2104.08718",
    )
    yield EvaluatorRecord(
        name="denscore",
        summary="mean cosine of an image with each sentence of a long prompt, and its text-relevant part",
        factory=f"{_FOLDER}.denscore:Denscore",
        reward=f"{_FOLDER}.rewards:DenscoreReward",
        options=DenscoreOptions,
        revision=2,
        reference="Liu et al. 2024, LongAlign, arXiv 2410.11817",
    )

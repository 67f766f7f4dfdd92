"""The trainer that learns from differentiable rewards."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import AdapterTrainerRecord
from selma_plugins.reward_training.options import RewardLoraOptions


@hookimpl
def selma_adapter_trainers() -> Iterator[AdapterTrainerRecord]:
    """LoRA by back-propagation through denoising steps: DRTune's way, ReFL's, DRaFT-K's."""
    yield AdapterTrainerRecord(
        name="reward_lora",
        summary="LoRA that raises rewards, by gradients through a few of the denoising steps (DRTune, ReFL, DRaFT-K)",
        factory="selma_plugins.reward_training.trainer:RewardLoraTrainer",
        options=RewardLoraOptions,
        reads=("prompts", "images"),
        reference="Liu et al. 2024, LongAlign, arXiv 2410.11817; DRTune, arXiv 2405.00760; ReFL, arXiv 2304.05977",
    )

"""The bundled adapter trainers."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import AdapterTrainerRecord
from selma_plugins.training.options import DoraOptions, FullOptions, LoraOptions


@hookimpl
def selma_adapter_trainers() -> Iterator[AdapterTrainerRecord]:
    """LoRA on the denoiser, as in the SELMA paper; DoRA and whole weights on the same layers."""
    yield AdapterTrainerRecord(
        name="lora",
        summary="LoRA on the attention of a UNet or transformer; epsilon, v or flow by the scheduler",
        factory="selma_plugins.training.trainer:LoraTrainer",
        options=LoraOptions,
        reference="arXiv 2403.06952, section 3.3; arXiv 2106.09685",
    )
    yield AdapterTrainerRecord(
        name="dora",
        summary="LoRA with learnt magnitudes (DoRA) on the same layers; leaves as a delta of full rank",
        factory="selma_plugins.training.trainer:DoraTrainer",
        options=DoraOptions,
        reference="arXiv 2402.09353",
    )
    yield AdapterTrainerRecord(
        name="full",
        summary="fine-tuning of the same layers' whole weights; leaves as a delta of full rank",
        factory="selma_plugins.training.trainer:FullTrainer",
        options=FullOptions,
    )

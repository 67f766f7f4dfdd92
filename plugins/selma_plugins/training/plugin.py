"""The bundled adapter trainers."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import AdapterTrainerRecord
from selma_plugins.training.options import LoraOptions


@hookimpl
def selma_adapter_trainers() -> Iterator[AdapterTrainerRecord]:
    """LoRA on the denoiser, as in the SELMA paper."""
    yield AdapterTrainerRecord(
        name="lora",
        summary="LoRA on the attention of a UNet or transformer; epsilon, v or flow by the scheduler",
        factory="selma_plugins.training.trainer:LoraTrainer",
        options=LoraOptions,
        reference="arXiv 2403.06952, section 3.3; arXiv 2106.09685",
    )

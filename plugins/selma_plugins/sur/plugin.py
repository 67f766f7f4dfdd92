"""SUR-adapter: its data, its text encoder, its trainer."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import (
    AdapterTrainerRecord,
    ImageGeneratorRecord,
    PromptSourceRecord,
    SelectorRecord,
    TextEncoderRecord,
)
from selma_plugins.sur.options import (
    CaptionPairsOptions,
    RewordedOptions,
    ScaledOptions,
    SurdImagesOptions,
    SurdOptions,
    SurEncoderOptions,
    SurOptions,
)

PAPER = "SUR-adapter, arXiv 2305.05189"


@hookimpl
def selma_prompt_sources() -> Iterator[PromptSourceRecord]:
    """Pairs of a simple and a complex prompt."""
    yield PromptSourceRecord(
        name="surd",
        summary="pairs of a simple and a complex prompt from a folder in SURD's format",
        factory="selma_plugins.sur.surd:Surd",
        options=SurdOptions,
        reference=f"{PAPER}, section 3.1",
    )


@hookimpl
def selma_image_generators() -> Iterator[ImageGeneratorRecord]:
    """The images of these pairs."""
    yield ImageGeneratorRecord(
        name="surd_images",
        summary="the images that the prompts of `surd` name",
        factory="selma_plugins.sur.surd:SurdImages",
        options=SurdImagesOptions,
        reference=f"{PAPER}, section 3.1",
    )


@hookimpl
def selma_selectors() -> Iterator[SelectorRecord]:
    """Pairs without scraping."""
    yield SelectorRecord(
        name="caption_pairs",
        summary="adds a simple caption by a chat model to images that complex prompts drew",
        factory="selma_plugins.sur.captions:CaptionPairs",
        options=CaptionPairsOptions,
        reference=f"{PAPER}, section 3.1",
    )


@hookimpl
def selma_text_encoders() -> Iterator[TextEncoderRecord]:
    """The adapter over another encoder."""
    yield TextEncoderRecord(
        name="sur_adapter",
        summary="another encoder's embeddings, rewritten by the adapter that the trainer sur_adapter made",
        factory="selma_plugins.sur.encoder:SurEncoder",
        options=SurEncoderOptions,
        reference=f"{PAPER}, section 3.2",
    )
    yield TextEncoderRecord(
        name="scaled",
        summary="another encoder's embeddings times a constant, a reference for sur_adapter",
        factory="selma_plugins.sur.scaled:Scaled",
        options=ScaledOptions,
    )
    yield TextEncoderRecord(
        name="reworded",
        summary="another encoder's embeddings of prompts that a chat model wrote anew, a reference",
        factory="selma_plugins.sur.reworded:Reworded",
        options=RewordedOptions,
    )


@hookimpl
def selma_adapter_trainers() -> Iterator[AdapterTrainerRecord]:
    """The adapter's training."""
    yield AdapterTrainerRecord(
        name="sur_adapter",
        summary="an adapter on the text embedding, taught by images, complex prompts, a language model",
        factory="selma_plugins.sur.trainer:SurTrainer",
        options=SurOptions,
        reference=f"{PAPER}, section 3.3",
    )

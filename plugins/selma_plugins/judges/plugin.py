"""The bundled judges."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import ChatModelRecord
from selma_plugins.judges.options import (
    Blip2Options,
    BlipVqaOptions,
    GroundingDinoOptions,
    ImageTextOptions,
    InstructBlipOptions,
    JsonLinesOptions,
    QwenVLOptions,
)


@hookimpl
def selma_chat_models() -> Iterator[ChatModelRecord]:
    """Yields `image_text`, `qwen_vl`, `blip2`, `instructblip`, `blip_vqa`, `grounding_dino`, `json_lines`."""
    yield ChatModelRecord(
        name="image_text",
        summary="any vision-language model of transformers, by its own chat template",
        factory="selma_plugins.judges.image_text:ImageTextChat",
        options=ImageTextOptions,
    )
    yield ChatModelRecord(
        name="qwen_vl",
        summary="a Qwen-VL model, with its pixel limits as options and thinking off",
        factory="selma_plugins.judges.image_text:QwenVLChat",
        options=QwenVLOptions,
        reference="Bai et al. 2025, Qwen2.5-VL, arXiv 2502.13923",
    )
    yield ChatModelRecord(
        name="blip2",
        summary="BLIP-2 (OPT or Flan-T5); the prompt is what was asked, as given",
        factory="selma_plugins.judges.blip2:Blip2Chat",
        options=Blip2Options,
        reference="Li et al. 2023, BLIP-2, arXiv 2301.12597",
    )
    yield ChatModelRecord(
        name="instructblip",
        summary="InstructBLIP, decoded as in DSG's released code unless told otherwise",
        factory="selma_plugins.judges.blip2:InstructBlipChat",
        options=InstructBlipOptions,
        reference="Dai et al. 2023, InstructBLIP, arXiv 2305.06500",
    )
    yield ChatModelRecord(
        name="blip_vqa",
        summary="BLIP for question answering; probabilities of the first answer token (T2I-CompBench)",
        factory="selma_plugins.judges.blip_vqa:BlipVqaChat",
        options=BlipVqaOptions,
        reference="Li et al. 2022, BLIP, arXiv 2201.12086",
    )
    yield ChatModelRecord(
        name="json_lines",
        summary="an old judge in an interpreter of its own, one JSON object per line each way",
        factory="selma_plugins.judges.json_lines:JsonLinesChat",
        options=JsonLinesOptions,
    )
    yield ChatModelRecord(
        name="grounding_dino",
        summary="segments of named things as JSON, by Grounding DINO and, for masks, SAM",
        factory="selma_plugins.judges.grounding_dino:GroundingDinoChat",
        options=GroundingDinoOptions,
        reference="arXiv 2303.05499; arXiv 2304.02643",
    )

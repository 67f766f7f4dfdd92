"""The bundled text encoders."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import TextEncoderRecord
from selma_plugins.encoders.options import ChunkedOptions, ClipOptions, LongAlignOptions


@hookimpl
def selma_text_encoders() -> Iterator[TextEncoderRecord]:
    """The pipeline's own encoders, used as they are, and for prompts that are longer than they read."""
    yield TextEncoderRecord(
        name="chunked",
        summary="blocks of 75 tokens through CLIP, each with its start and end mark",
        factory="selma_plugins.encoders.chunked:ChunkedEncoder",
        options=ChunkedOptions,
    )
    yield TextEncoderRecord(
        name="clip",
        summary="the pipeline's own text encoders (CLIP, T5, ...), as its class uses them",
        factory="selma_plugins.encoders.clip:PipelineEncoder",
        options=ClipOptions,
    )
    yield TextEncoderRecord(
        name="longalign",
        summary="each sentence through CLIP alone, their rows joined (SD 1.x, SD 2, SDXL)",
        factory="selma_plugins.encoders.longalign:LongAlignEncoder",
        options=LongAlignOptions,
        reference="arXiv 2410.11817",
    )

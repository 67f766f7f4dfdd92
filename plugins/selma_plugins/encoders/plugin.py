"""The bundled text encoders."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import TextEncoderRecord


@hookimpl
def selma_text_encoders() -> Iterator[TextEncoderRecord]:
    """The pipeline's own encoders, used as they are."""
    yield TextEncoderRecord(
        name="clip",
        summary="the pipeline's own text encoders (CLIP, T5, ...), as its class uses them",
        factory="selma_plugins.encoders.clip:PipelineEncoder",
    )

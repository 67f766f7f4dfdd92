"""The bundled image generators."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import ImageGeneratorRecord
from selma_plugins.images.options import DiffusersOptions


@hookimpl
def selma_image_generators() -> Iterator[ImageGeneratorRecord]:
    """Any text-to-image pipeline of diffusers."""
    yield ImageGeneratorRecord(
        name="diffusers",
        summary="any diffusers pipeline: SD 1.x, SD 2, SDXL, SD3, Flux, PixArt; seeded per image",
        factory="selma_plugins.images.generator:DiffusersGenerator",
        options=DiffusersOptions,
    )

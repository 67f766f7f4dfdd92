"""The bundled image generators."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import ImageGeneratorRecord
from selma_plugins.images.options import DiffusersOptions, ImageFolderOptions


@hookimpl
def selma_image_generators() -> Iterator[ImageGeneratorRecord]:
    """Any text-to-image pipeline of diffusers; images that exist already."""
    yield ImageGeneratorRecord(
        name="diffusers",
        summary="any diffusers pipeline: SD 1.x, SD 2, SDXL, SD3, Flux, PixArt; seeded per image",
        factory="selma_plugins.images.generator:DiffusersGenerator",
        options=DiffusersOptions,
    )
    yield ImageGeneratorRecord(
        name="image_folder",
        summary="images that exist already, matched to the prompts by metadata.jsonl or by file name",
        factory="selma_plugins.images.folder:ImageFolder",
        options=ImageFolderOptions,
    )

"""Tiny pipelines of every family, and a generator over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from selma_core.artifacts.images import png_bytes
from selma_core.data import ImageRequest
from selma_core.protocols import ImageJob
from tests import tiny_models
from tests.tiny_stage import TinyContext

FAMILIES = ("sd", "sdxl", "sd3", "flux", "pixart")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a tiny pipeline of a family, built once."""
    root = tmp_path_factory.mktemp("models")

    def folder(family: str) -> Path:
        path = root / family
        return path if path.exists() else getattr(tiny_models, family)(path)

    return folder


@pytest.fixture(scope="session")
def plain(models: Callable[[str], Path]) -> Callable[[str], Any]:
    """A family's tiny model loaded by diffusers itself."""
    from diffusers import DiffusionPipeline

    def load(family: str) -> Any:
        absent = {"text_encoder_3": None, "tokenizer_3": None} if family == "sd3" else {}
        pipeline = DiffusionPipeline.from_pretrained(models(family), **absent)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    return load


@pytest.fixture
def draw(models: Callable[[str], Path], tmp_path: Path) -> Callable[..., dict[str, bytes]]:
    """Draws requests with a family's tiny model; file name -> PNG bytes, in the order they came."""
    from selma_plugins.images.generator import DiffusersGenerator
    from selma_plugins.images.options import DiffusersOptions

    def run(
        asked: Sequence[ImageRequest],
        family: str = "sd",
        adapter: Path | None = None,
        adapters: tuple[Path, ...] = (),
        **options: Any,
    ) -> dict[str, bytes]:
        settings = {"steps": 2, "lanes": 3, "height": 16, "width": 16, "model": str(models(family)), **options}
        if family == "pixart":
            settings["call_options"] = {"use_resolution_binning": False}
        generator = DiffusersGenerator(DiffusersOptions(**settings))
        job = ImageJob(context=TinyContext(tmp_path), requests=tuple(asked), adapter=adapter, adapters=adapters)
        return {request.file_name: png_bytes(image) for request, image in generator.images(job)}

    return run

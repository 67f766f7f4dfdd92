"""Tiny SD 1.x and SDXL pipelines, kept for the session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import tiny_models


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a tiny pipeline of a family."""
    root = tmp_path_factory.mktemp("models")

    def made(family: str) -> Path:
        path = root / family
        return path if path.exists() else getattr(tiny_models, family)(path)

    return made


@pytest.fixture(scope="session")
def tiny(folder: Callable[[str], Path]) -> Callable[[str], Any]:
    """That pipeline, loaded."""
    from diffusers import DiffusionPipeline

    found: dict[str, Any] = {}

    def load(family: str) -> Any:
        if family not in found:
            found[family] = DiffusionPipeline.from_pretrained(folder(family))
        return found[family]

    return load

"""Whole runs of the bundled plugins on tiny random models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from selma_core.engine import run
from selma_core.result import Run
from tests import tiny_models


def clean(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """No setting of the developer's machine reaches a test."""
    for name in ("SELMA_PLUGINS", "SELMA_PLUGINS_STRICT", "SELMA_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SELMA_CACHE", str(folder / "cache"))


def write_recipe(path: Path, recipe: dict[str, Any]) -> None:
    """A recipe as YAML; through JSON, as recipes take no aliases for what is shared."""
    path.write_text(yaml.safe_dump(json.loads(json.dumps(recipe)), sort_keys=False))


def run_stages(folder: Path, stages: dict[str, Any], plugins: tuple[Path, ...] = ()) -> Run:
    """Runs stages from `recipe.yaml` in a folder on `store` beside it."""
    recipe = {"runtime": {"executor": {"use": "inline"}, "threads": 1}, "stages": stages}
    write_recipe(folder / "recipe.yaml", recipe)
    return run(folder / "recipe.yaml", store=folder / "store", plugins=plugins)


def folder_of(run: Run, stage: str) -> Path:
    """The artifact of a stage."""
    (found,) = [node.artifact for node in run.nodes if node.id == stage]
    assert found is not None
    return found


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny Stable Diffusion, built once."""
    return tiny_models.sd(tmp_path_factory.mktemp("whole") / "model")


@pytest.fixture(scope="session")
def draw(model: Path) -> dict[str, Any]:
    """Options of the image generator: two steps, 16 pixels."""
    return {"model": str(model), "steps": 2, "height": 16, "width": 16}


@pytest.fixture(scope="session")
def lora(model: Path) -> dict[str, Any]:
    """Options of the trainer: three steps at rank 2."""
    few = {"rank": 2, "steps": 3, "batch_size": 4, "accumulation": 1, "lr": 0.01, "heldout": 0.0}
    return {"model": str(model), **few}


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Runs stages from a recipe in the test's folder, on the folder's store."""
    clean(monkeypatch, tmp_path)

    def start(stages: dict[str, Any], plugins: tuple[Path, ...] = (), fails: bool = False) -> Run:
        done = run_stages(tmp_path, stages, plugins)
        assert done.ok is not fails, [node.error for node in done.failed]
        return done

    return start

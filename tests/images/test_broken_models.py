"""Missing and broken model folders: one clear line before anything is computed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from selma_core.errors import ModelError
from tests.tiny_stage import requests


@pytest.fixture
def copy(models: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(models("sd"), tmp_path / "model"))


def _line(draw: Any, folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        draw(requests(1), model=str(folder))
    assert caught.value.exit_code == 2
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_missing_folder(draw: Any, tmp_path: Path) -> None:
    assert str(tmp_path / "none") in _line(draw, tmp_path / "none")


def test_no_pipeline(draw: Any, tmp_path: Path) -> None:
    assert "model_index.json" in _line(draw, tmp_path)


def test_missing_component(draw: Any, copy: Path) -> None:
    shutil.rmtree(copy / "vae")
    assert "'vae' is missing" in _line(draw, copy)


def test_missing_weights(draw: Any, copy: Path) -> None:
    (copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    assert "weights of component 'unet' are missing" in _line(draw, copy)


@pytest.mark.parametrize("keep", [3, 1000, -1])
def test_truncated_weights(draw: Any, copy: Path, keep: int) -> None:
    file = copy / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    line = _line(draw, copy)
    assert "truncated" in line
    assert str(file) in line


def test_pickled_weights_are_never_loaded(draw: Any, copy: Path) -> None:
    file = copy / "unet" / "diffusion_pytorch_model.safetensors"
    file.rename(file.with_suffix(".bin"))
    assert "pickled ones are never loaded" in _line(draw, copy)


def test_components_of_other_packages_are_refused(draw: Any, copy: Path) -> None:
    index = json.loads((copy / "model_index.json").read_text())
    index["unet"] = ["subprocess", "Popen"]
    (copy / "model_index.json").write_text(json.dumps(index))
    assert "'subprocess': refused" in _line(draw, copy)


def test_broken_config(draw: Any, copy: Path) -> None:
    (copy / "scheduler" / "scheduler_config.json").write_text("{")
    assert "cannot be loaded by diffusers" in _line(draw, copy)

"""Checking a pipeline folder before anything is loaded, so that a broken one gives one clear line. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from selma_core.artifacts.tensor_file import read_header
from selma_core.errors import ArtifactError, ModelError

INDEX = "model_index.json"
# Components are only ever built from these packages (or from diffusers' own pipeline modules), never from others.
_LIBRARIES = {"diffusers", "transformers"}
_WEIGHTS = ("*.bin", "*.ckpt", "*.pt", "*.msgpack", "*.h5")


def read_index(folder: Path) -> dict[str, Any]:
    """The folder's `model_index.json`.

    Raises:
        ModelError: when the folder or the file is missing or broken.
    """
    if not folder.is_dir():
        raise ModelError(f"model folder {folder} does not exist")
    path = folder / INDEX
    if not path.is_file():
        raise ModelError(f"{folder} is no diffusers pipeline: it has no {INDEX}")
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ModelError(f"{path}: is no JSON") from None
    if not isinstance(index, dict) or "_class_name" not in index:
        raise ModelError(f"{path}: has no '_class_name'")
    return index


def components(index: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Component name -> (library, class), for those that are present."""
    pairs = {name: value for name, value in index.items() if isinstance(value, list) and len(value) == 2}
    return {name: (library, kind) for name, (library, kind) in pairs.items() if library and kind}


def absent(index: dict[str, Any]) -> list[str]:
    """Components that the pipeline was saved without (SD3 without T5, no safety checker)."""
    return [name for name, value in index.items() if isinstance(value, list) and value[:1] == [None]]


def check_folder(folder: Path) -> dict[str, Any]:
    """Checks that every component is there, whole, in safetensors, and of a known library; returns the index.

    Raises:
        ModelError: one line that names the component and the file.
    """
    index = read_index(folder)
    for name, (library, _) in components(index).items():
        if name in {"safety_checker", "feature_extractor"}:
            continue
        if library not in _LIBRARIES:
            raise ModelError(f"{folder / INDEX}: component '{name}' comes from '{library}': refused")
        part = folder / name
        if not part.is_dir() or not any(part.iterdir()):
            raise ModelError(f"{folder}: component '{name}' is missing; fetch the model again")
        _check_weights(name, part)
    return index


def variant(folder: Path) -> str | None:
    """`fp16` when the folder holds its weights in that variant only, else None."""
    files = [path.name for path in folder.glob("*/*.safetensors")]
    return "fp16" if files and all(".fp16" in name for name in files) else None


def _check_weights(name: str, part: Path) -> None:
    tensors = sorted(part.glob("*.safetensors"))
    if not tensors:
        if any(found for pattern in _WEIGHTS for found in part.glob(pattern)):
            raise ModelError(f"{part}: has no safetensors weights; pickled ones are never loaded")
        if (part / "config.json").is_file():
            raise ModelError(f"{part}: the weights of component '{name}' are missing; fetch the model again")
    try:
        for path in tensors:
            read_header(path)
    except ArtifactError as error:
        raise ModelError(f"component '{name}': {error}") from None

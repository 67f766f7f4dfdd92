"""Finds a cut download before a model is loaded: a safetensors header says how long the file must be."""

from __future__ import annotations

from pathlib import Path

from selma_core.artifacts.tensor_file import read_header
from selma_core.errors import ArtifactError, ModelError


def check_safetensors(path: Path) -> None:
    """Checks that a `.safetensors` file is as long as its header says; reads the header only.

    Raises:
        ModelError: naming the file, and how many bytes are missing.
    """
    try:
        read_header(path)
    except ArtifactError as error:
        raise ModelError(str(error)) from error


def check_folder(path: Path) -> None:
    """`check_safetensors` for every such file below a folder, or for the file itself."""
    files = [path] if path.is_file() else sorted(path.rglob("*.safetensors"))
    for file in files:
        if file.suffix == ".safetensors":
            check_safetensors(file)

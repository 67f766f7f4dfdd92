"""Weights that somebody else released, for the converters: the files are named by the user, once.

Converters are the one place that opens a `.pt`, and only tensors are read from it (`weights_only`), no code.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from selma_core.errors import ArtifactError


def read_released(file: Path) -> Any:
    """The tensors of a safetensors file by name, or what a `.pt` or `.bin` holds (tensors in lists and mappings).

    Raises:
        ArtifactError: it cannot be read, or holds something else.
    """
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ArtifactError(f"{file}: cannot be read as tensors ({line})") from None

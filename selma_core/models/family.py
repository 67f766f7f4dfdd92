"""What kind of model a folder holds, read from its own description."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from selma_core.errors import ModelError

_SHORT = {
    "StableDiffusion": "sd",
    "StableDiffusionXL": "sdxl",
    "StableDiffusion3": "sd3",
    "Flux": "flux",
    "PixArtAlpha": "pixart",
    "PixArtSigma": "pixart",
}


def detect_family(path: Path) -> str:
    """`sd`, `sdxl`, `sd3`, `flux`, `pixart`, ... for a diffusers folder (from `model_index.json`'s `_class_name`), the
    `model_type` of a transformers folder, `gguf` for such a file or a folder that holds such files and no description.

    Raises:
        ModelError: it is none of these; the message says what is missing.
    """
    if path.is_file():
        return path.suffix.lstrip(".").lower() or "file"
    if (path / "model_index.json").is_file():
        name = str(_json(path / "model_index.json").get("_class_name", ""))
        if not name:
            raise ModelError(f"{path / 'model_index.json'}: has no '_class_name'")
        return _SHORT.get(name.removesuffix("Pipeline"), _snake(name.removesuffix("Pipeline")))
    if (path / "config.json").is_file():
        return str(_json(path / "config.json").get("model_type", "transformers"))
    if any(path.glob("*.gguf")):
        return "gguf"
    raise ModelError(
        f"{path}: holds neither model_index.json (diffusers) nor config.json (transformers) nor a .gguf file"
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: is not readable JSON: {error}") from error
    if not isinstance(loaded, dict):
        raise ModelError(f"{path}: must hold a JSON object")
    return loaded


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()

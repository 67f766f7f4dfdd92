"""Where the weights of a model on this machine are."""

from __future__ import annotations

from pathlib import Path

import attrs

from selma_core.errors import ModelError
from selma_core.pool import ModelKey
from selma_core.protocols import Context


@attrs.frozen(kw_only=True)
class Weights:
    """What to load. Attributes: folder = where it is; gguf = name of the GGUF file within, or ""; pin = what it is."""

    folder: Path
    gguf: str = ""
    pin: str = ""

    def key(self, loader: str, dtype: str, device: str) -> ModelKey:
        """What the model is shared under."""
        return ModelKey(loader=loader, pin=f"{self.pin}/{self.gguf}", dtype=dtype, device=device)


def find_weights(model: str, gguf: str, context: Context | None) -> Weights:
    """Resolves a model through the registry; without a context (plain Python use) `model` is a path.

    Raises:
        ModelError: there is no such model, or its files are not on this machine.
    """
    if context is None:
        return attrs.evolve(_on_disk(Path(model), gguf), pin=str(Path(model).resolve()))
    entry = context.entry("models", model)
    if entry.path is None:
        raise ModelError(f"the files of the model '{model}' are not on this machine")
    return attrs.evolve(_on_disk(entry.path, gguf), pin=entry.pin)


def _on_disk(path: Path, gguf: str) -> Weights:
    if path.is_file():
        return Weights(folder=path.parent, gguf=path.name)
    if not path.is_dir():
        raise ModelError(f"no model at {path}: give a registry name, a folder, or a GGUF file")
    if gguf and not (path / gguf).is_file():
        raise ModelError(f"no file {gguf} in the model folder {path}")
    return Weights(folder=path, gguf=gguf or _only_gguf(path))


def _only_gguf(folder: Path) -> str:
    """The one GGUF file of a folder that holds no safetensors; "" otherwise."""
    found = sorted(folder.glob("*.gguf"))
    return found[0].name if len(found) == 1 and not any(folder.glob("*.safetensors")) else ""

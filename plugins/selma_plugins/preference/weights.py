"""Reading a model's files: safetensors always, pickled ones only where the registry pins their very bytes."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from selma_core.data import Entry
from selma_core.errors import ModelError
from selma_core.pool import ModelKey
from selma_core.protocols import Context

SAFE = ".safetensors"
PICKLED = (".pt", ".pth", ".bin", ".ckpt")
Tensors = Mapping[str, torch.Tensor]


def shared(context: Context, loader: str, entry: Entry, load: Callable[[], torch.nn.Module]) -> Any:
    """The frozen fp32 model of an entry on the context's device, loaded once per process for all who name it.

    Args: loader = names what `load` builds; evaluators that build the same share it.
    """

    def ready() -> torch.nn.Module:
        return load().float().requires_grad_(False).eval().to(context.device)

    key = ModelKey(loader=f"selma.preference:{loader}", pin=entry.pin, dtype="float32", device=context.device)
    return context.model(key, ready)


def path_of(entry: Entry) -> Path:
    """The entry's folder or file.

    Raises:
        ModelError: it is not on this machine.
    """
    if entry.path is None:
        raise ModelError(f"model '{entry.name}' is not on this machine; type: selma models fetch {entry.name}")
    return entry.path


def read_tensors(entry: Entry) -> Tensors:
    """The tensors of an entry that is one weights file, or a folder with one, on the CPU.

    Raises:
        ModelError: no such file or several, a file that cannot be read, or a pickled one that is not pinned.
    """
    path = _file(path_of(entry))
    try:
        if path.suffix == SAFE:
            found: Tensors = load_file(path)
            return found
        if not _pinned(entry):
            raise ModelError(
                f"{path} is a pickled checkpoint whose sha256 no registry entry pins, so it is not read; convert it "
                "to safetensors once and give that file as the model (docs/reference/metrics.md: Pickled checkpoints)"
            )
        return _unwrapped(torch.load(path, map_location="cpu", weights_only=True), path)
    except (OSError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{path}: cannot be read: {line}") from error


def load_tokenizer(kind: Any, entry: Entry, files: Sequence[tuple[str, ...]]) -> Any:
    """The tokenizer in an entry's folder.

    Args: kind = its transformers class; files = sets of files, one of which must be there: from an empty folder
    transformers makes a tokenizer that knows no word, and says nothing.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    folder = path_of(entry)
    if not any(all((folder / name).is_file() for name in names) for names in files):
        wanted = " or ".join(" and ".join(names) for names in files)
        raise ModelError(f"{folder}: holds no tokenizer ({wanted}); name one with the option tokenizer")
    try:
        return kind.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{folder}: its tokenizer cannot be read: {' '.join(str(error).split())[:200]}") from error


def check_vocabulary(tokenizer: Any, known: int, title: str) -> None:
    """The model must know every token.

    Raises:
        ModelError: it knows fewer, so it is another model's tokenizer.
    """
    if len(tokenizer) > known:
        raise ModelError(f"{title}: the tokenizer has {len(tokenizer)} tokens, the model knows {known}")


def check_keys(module: torch.nn.Module, tensors: Tensors, title: str) -> None:
    """Loads `tensors` into a module; every key must have its place.

    Raises:
        ModelError: a key is missing or unexpected, or a shape differs.
    """
    try:
        missing, unexpected = module.load_state_dict(dict(tensors), strict=False)
    except RuntimeError as error:
        raise ModelError(f"{title}: {' '.join(str(error).split())[:300]}") from error
    if missing or unexpected:
        what = f"lacks {missing[0]}" if missing else f"has an unknown tensor {unexpected[0]}"
        raise ModelError(f"{title}: the checkpoint {what} ({len(missing)} missing, {len(unexpected)} unknown)")


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    for suffixes in ((SAFE,), PICKLED):
        found = sorted(file for file in path.glob("*") if file.suffix in suffixes)
        if len(found) == 1:
            return found[0]
        if found:
            raise ModelError(f"{path}: holds {len(found)} weights files; give one of them as the model: {found[0]}")
    raise ModelError(f"{path}: holds no weights file ({', '.join((SAFE, *PICKLED))})")


def _pinned(entry: Entry) -> bool:
    """Whether a registry entry states the sha256 of the file; the core compared it with the file's when it resolved."""
    rows = entry.data.get("sources") or ()
    wanted = {str(row.get("sha256", "")) for row in rows if isinstance(row, Mapping)} - {""}
    return entry.provider not in ("path", "hub") and entry.pin.removeprefix("sha256:") in wanted


def _unwrapped(found: Any, path: Path) -> Tensors:
    """The state dict itself, which trainers like to keep beside other things."""
    for key in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    tensors = {k: v for k, v in found.items() if isinstance(v, torch.Tensor)} if isinstance(found, Mapping) else {}
    if not tensors:
        raise ModelError(f"{path}: holds no state dict")
    return tensors

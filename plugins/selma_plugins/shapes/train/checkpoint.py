"""Checkpoints and exports that are either whole or absent."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write nested mappings of tensors and JSON values by way of a rename, so that a kill leaves the last one whole.

    The file is safetensors; its header holds where each tensor and each plain value belongs.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    leaves = list(_leaves(state, ()))
    tensors = {str(i): leaf.detach().cpu().contiguous() for i, (_, leaf) in enumerate(leaves) if _is_tensor(leaf)}
    places = [[list(keys), None if _is_tensor(leaf) else leaf, _is_tensor(leaf)] for keys, leaf in leaves]
    draft = path.with_suffix(".draft")
    save_file(tensors, draft, metadata={"places": json.dumps(places)})
    os.replace(draft, path)


def load(path: Path) -> dict[str, Any] | None:
    """The state saved at `path`, or None if there is none."""
    if not path.exists():
        return None
    state: dict[str, Any] = {}
    with safe_open(path, framework="pt") as file:
        for index, (keys, value, is_tensor) in enumerate(json.loads(file.metadata()["places"])):
            inner: dict[Any, Any] = state
            for key in keys[:-1]:
                inner = inner.setdefault(key, {})
            inner[keys[-1]] = file.get_tensor(str(index)) if is_tensor else value
    return state


def _leaves(state: Mapping[Any, Any], keys: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    for key, value in state.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*keys, key))
        else:
            yield (*keys, key), value


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


def publish(target: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a draft folder, then put it in the place of `target`."""
    draft, old = target.with_name(target.name + ".draft"), target.with_name(target.name + ".old")
    for stale in (draft, old):
        shutil.rmtree(stale, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    write(draft)
    if target.exists():
        target.rename(old)
    draft.rename(target)
    shutil.rmtree(old, ignore_errors=True)

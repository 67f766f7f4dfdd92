"""Where training stands, on disk: one safetensors file and one JSON file per checkpoint, never pickle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save

from selma_core.errors import ArtifactError
from selma_core.files import make_folder, sync_path, write_bytes, write_json, writing

TENSORS, VALUES = "state.safetensors", "state.json"


def save_checkpoint(workdir: Path, step: int, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]) -> None:
    """Writes the checkpoint after `step` steps under a temporary name, renames it, drops the older ones."""
    part = make_folder(workdir / f".checkpoint-{step}")
    flat = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_bytes(part / TENSORS, save(flat))
    write_json(part / VALUES, dict(values))
    with writing(workdir):
        final = workdir / f"checkpoint-{step}"
        shutil.rmtree(final, ignore_errors=True)
        part.rename(final)
    sync_path(workdir)
    for other in _found(workdir):
        if other != final:
            shutil.rmtree(other, ignore_errors=True)


def load_checkpoint(workdir: Path) -> tuple[int, dict[str, torch.Tensor], dict[str, Any]] | None:
    """(steps done, tensors, values) of the newest whole checkpoint, or None."""
    for folder in sorted(_found(workdir), key=_step, reverse=True):
        try:
            values = json.loads((folder / VALUES).read_text(encoding="utf-8"))
            return _step(folder), load_file(folder / TENSORS), values
        except (OSError, ValueError, RuntimeError) as error:
            raise ArtifactError(f"{folder}: broken checkpoint ({error}); delete this folder and run again") from None
    return None


def pack_optimizer(optimizer: torch.optim.Optimizer, names: Mapping[int, str]) -> dict[str, torch.Tensor]:
    """The optimizer's tensors as `<state>/<weight>`; `names` maps id(weight) to its name."""
    return {
        f"{key}/{names[id(weight)]}": value
        for weight, state in optimizer.state.items()
        for key, value in state.items()
        if isinstance(value, torch.Tensor)
    }


def unpack_optimizer(optimizer: torch.optim.Optimizer, names: list[str], tensors: Mapping[str, torch.Tensor]) -> None:
    """Puts back what `pack_optimizer` gave; `names` are the weights' names in the optimizer's order."""
    packed = optimizer.state_dict()
    for place, name in enumerate(names):
        found = {k.removesuffix(f"/{name}"): v for k, v in tensors.items() if k.endswith(f"/{name}")}
        if found:
            packed["state"][place] = found
    optimizer.load_state_dict(packed)


def prefixed(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors under `prefix:name`."""
    return {f"{prefix}:{name}": value for name, value in tensors.items()}


def under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors that `prefixed` put under a prefix."""
    return {k.removeprefix(f"{prefix}:"): v for k, v in tensors.items() if k.startswith(f"{prefix}:")}


def _found(workdir: Path) -> list[Path]:
    return [path for path in workdir.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("checkpoint-"))

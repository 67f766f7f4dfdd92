"""Random LoRAs in the spellings of several programs, written by hand: nothing here goes through the code under test."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

Shapes = Mapping[str, tuple[int, ...]]
Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]  # layer -> (A, B)
RANKS = (2, 4, 3)


def layers_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Path -> shape of the weight, for every Linear and Conv2d."""
    kinds = (nn.Linear, nn.Conv2d)
    return {name: tuple(one.weight.shape) for name, one in module.named_modules() if isinstance(one, kinds)}


def factors(shapes: Shapes, ranks: Iterable[int] = RANKS, seed: int = 0) -> Pairs:
    """Layer -> (A, B), ranks in turn; small, so that fused models stay sane."""
    stream, turns = torch.Generator().manual_seed(seed), list(ranks)
    found = {}
    for index, (layer, (out, *rest)) in enumerate(sorted(shapes.items())):
        rank = turns[index % len(turns)]
        down = torch.randn(rank, *rest, generator=stream) * 0.2
        up = torch.randn(out, rank, *(1 for _ in rest[1:]), generator=stream) * 0.2
        found[layer] = (down, up)
    return found


def delta(down: torch.Tensor, up: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    """s B A, dense."""
    return scale * up.flatten(1) @ down.flatten(1)


def write(path: Path, tensors: Mapping[str, torch.Tensor], **header: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in tensors.items()}, path, metadata=dict(header))
    return path


def named(
    found: Mapping[str, tuple[torch.Tensor, torch.Tensor]],
    names: Mapping[str, str],
    ends: tuple[str, str],
    alpha: float | None = None,
) -> dict[str, torch.Tensor]:
    """The tensors of a file: `<name><end>` for A and B, `<name>.alpha` where asked for."""
    tensors = {}
    for layer, (down, up) in found.items():
        tensors[names[layer] + ends[0]] = down
        tensors[names[layer] + ends[1]] = up
        if alpha is not None:
            tensors[f"{names[layer]}.alpha"] = torch.tensor(alpha)
    return tensors


def peft_folder(folder: Path, tensors: Mapping[str, torch.Tensor], **config: Any) -> Path:
    """A PEFT folder with the given fields of LoraConfig."""
    write(folder / "adapter_model.safetensors", {f"base_model.model.{k}": v for k, v in tensors.items()})
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 4, **config}))
    return folder

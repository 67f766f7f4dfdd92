"""The adapter that training started from and what was learnt, as one adapter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from selma_core.artifacts.adapter import read_layers


def together(learnt: Mapping[str, torch.Tensor], start: Path | None) -> dict[str, torch.Tensor]:
    """Factors whose product is the sum of both deltas: B_S A_S + B_R A_R = [B_S B_R] [A_S; A_R], exactly.

    Args: learnt = canonical tensors (`unet.<path>.lora_A.weight`, ...). start = the LoRA file that was fused.
    """
    tensors = dict(learnt)
    if start is None:
        return tensors
    reader = read_layers(start)
    for layer in reader.names():
        factors = reader.factors(layer)
        down, up = f"{layer}.lora_A.weight", f"{layer}.lora_B.weight"
        if down in tensors:
            tensors[down] = torch.cat([factors.down, tensors[down]], dim=0)
            tensors[up] = torch.cat([factors.up, tensors[up]], dim=1)
        else:
            tensors[down], tensors[up] = factors.down, factors.up
    return {name: value.contiguous() for name, value in tensors.items()}

"""A tiny pipeline, and LoRA factors for its layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from selma_core.protocols import TrainedAdapter
from tests import tiny_models


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.sd(tmp_path_factory.mktemp("sd"))


@pytest.fixture(scope="session")
def shapes(model: Path) -> dict[str, tuple[int, int]]:
    """(out, in) of the attention layers of the model, by path."""
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(model / "unet")
    ends = ("to_q", "to_k", "to_v", "to_out.0")
    return {n: tuple(m.weight.shape) for n, m in unet.named_modules() if n.endswith(ends)}


@pytest.fixture
def make(shapes: dict[str, tuple[int, int]]) -> Callable[..., TrainedAdapter]:
    """Random adapters; `ranks` cycles over the layers."""

    def build(seed: int = 0, ranks: tuple[int, ...] = (4,)) -> TrainedAdapter:
        stream = torch.Generator().manual_seed(seed)
        tensors = {}
        for place, (path, (out, into)) in enumerate(sorted(shapes.items())):
            rank = ranks[place % len(ranks)]
            tensors[f"unet.{path}.lora_A.weight"] = torch.randn(rank, into, generator=stream)
            tensors[f"unet.{path}.lora_B.weight"] = torch.randn(out, rank, generator=stream) * 0.3
        return TrainedAdapter(tensors=tensors, metadata={"base": "tiny"}, curve=({"step": 1, "loss": 0.5},))

    return build

"""Tiny SD and SDXL pipelines with two layers per block, as the real ones have, and LoRAs for all of their layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from tests import tiny_models
from tests.interchange.samples import layers_of

_SHARED: dict[str, Any] = {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "layers_per_block": 2,
    "attention_head_dim": 2,
    "norm_num_groups": 4,
}
_SD = {
    **_SHARED,
    "block_out_channels": (8, 8, 16),
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 32,
}
_XL = {
    **_SHARED,
    "block_out_channels": (8, 8, 16),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 2),
    "cross_attention_dim": 64,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 6 * 8 + 32,
}


def _with_unet(folder: Path, config: dict[str, Any]) -> Path:
    torch.manual_seed(2)
    diffusers.UNet2DConditionModel(**config).eval().save_pretrained(folder / "unet")
    return folder


@pytest.fixture(scope="session")
def sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _with_unet(tiny_models.sd(tmp_path_factory.mktemp("sd")), _SD)


@pytest.fixture(scope="session")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _with_unet(tiny_models.sdxl(tmp_path_factory.mktemp("sdxl")), _XL)


def open_pipeline(folder: Path) -> Any:
    return diffusers.DiffusionPipeline.from_pretrained(folder, safety_checker=None)


def shapes_of(folder: Path) -> dict[str, tuple[int, ...]]:
    """Canonical layer -> shape of its weight, for the UNet and the text encoders of a pipeline."""
    pipeline, found = open_pipeline(folder), {}
    for component in ("unet", "text_encoder", "text_encoder_2"):
        module = getattr(pipeline, component, None)
        for path, shape in (layers_of(module) if module is not None else {}).items():
            text = component.startswith("text") and not path.startswith("text_")
            found[f"{component}.{'text_model.' if text else ''}{path}"] = shape
    return found


@pytest.fixture(scope="session")
def sd_shapes(sd: Path) -> dict[str, tuple[int, ...]]:
    return shapes_of(sd)


@pytest.fixture(scope="session")
def sdxl_shapes(sdxl: Path) -> dict[str, tuple[int, ...]]:
    return shapes_of(sdxl)

"""What the merging benchmark works on: the attention layers of real models, with synthetic experts on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

from selma_core.artifacts.adapter import AdapterWriter
from selma_core.catalog import Catalog
from selma_core.protocols import Factors, LayerJob, MergeStrategy
from selma_core.seeds import derive_seed

Shape = tuple[int, int]
EXPERTS = 5
WEIGHTS = (1 / EXPERTS,) * EXPERTS
IDS = tuple(f"expert{i}" for i in range(EXPERTS))

# (out, in) -> how many: q, k, v and out of the UNet's attention. `tiny` is for a trial of the script.
MODELS: dict[str, dict[Shape, int]] = {
    "sd15": {(320, 320): 30, (320, 768): 10, (640, 640): 30, (640, 768): 10, (1280, 768): 12, (1280, 1280): 36},
    "sdxl": {(640, 640): 60, (640, 2048): 20, (1280, 1280): 360, (1280, 2048): 120},
    "tiny": {(48, 48): 2, (48, 64): 1},
}


def expert(shape: Shape, rank: int, *key: int) -> Factors:
    """B [m, r], its columns falling in size from 1 to 0.01, and A [r, n]."""
    stream = torch.Generator().manual_seed(derive_seed("expert", *shape, rank, *key))
    up = torch.randn(shape[0], rank, generator=stream) * torch.logspace(0, -2, rank)
    return Factors(up=up, down=torch.randn(rank, shape[1], generator=stream))


def layer(shape: Shape, rank: int, index: int = 0) -> LayerJob:
    """Five experts of one layer; `index` makes further layers of a shape differ."""
    return LayerJob(
        name=name_of(shape, index),
        experts=tuple(expert(shape, rank, index, i) for i in range(EXPERTS)),
        weights=WEIGHTS,
        expert_ids=IDS,
        seed=0,
    )


def layers(counts: Mapping[Shape, int], rank: int) -> Iterable[LayerJob]:
    """All layers of a model, made one at a time."""
    return (layer(shape, rank, index) for shape, count in counts.items() for index in range(count))


def name_of(shape: Shape, index: int) -> str:
    """A layer's name, without a dot after its component."""
    return f"unet.layer_{shape[0]}_{shape[1]}_{index}"


def few(counts: Mapping[Shape, int], most: int) -> dict[Shape, int]:
    """At most so many layers of each shape."""
    return {shape: min(count, most) for shape, count in counts.items()}


def write_experts(folder: Path, counts: Mapping[Shape, int], rank: int) -> list[Path]:
    """The experts as LoRA files, fp32."""
    files = [folder / f"{name}.safetensors" for name in IDS]
    for i, file in enumerate(files):
        with AdapterWriter(file) as writer:
            for shape, count in counts.items():
                for index in range(count):
                    made = expert(shape, rank, index, i)
                    writer.add(f"{name_of(shape, index)}.lora_A.weight", made.down)
                    writer.add(f"{name_of(shape, index)}.lora_B.weight", made.up)
            writer.finish({})
    return files


@cache
def _catalog() -> Catalog:
    return Catalog.discover()


def strategy(name: str, **options: Any) -> MergeStrategy:
    """A merge strategy by its name in the catalog."""
    offer = _catalog().find("merge_strategy", name)
    assert offer.record.options is not None
    built: MergeStrategy = _catalog().build(offer, offer.record.options(**options))
    return built

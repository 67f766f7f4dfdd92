"""TIES whose density is a share of the whole model: thresholds from streamed layers are those of one flat vector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from selma_plugins.merging.whole_model import thresholds
from torch import Tensor

from selma_core.artifacts.adapter import adapter_file, write_adapter
from selma_core.artifacts.lora_reader import read_layers
from selma_core.errors import UserError
from selma_core.merging.files import MergePlan, merge_files
from selma_core.protocols import Factors, LayerJob, TrainedAdapter
from tests.merging.cases import build
from tests.merging.claims import Draw, job

SHAPES = {"unet.a": (6, 5), "unet.b": (4, 9), "unet.c": (7, 3)}


def rows(name: str, values: list[float]) -> LayerJob:
    part = Factors(up=torch.tensor([[1.0]]), down=torch.tensor([values]))
    return LayerJob(name=name, experts=(part,), weights=(1.0,), expert_ids=("e",), seed=0)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=8), min_size=1, max_size=5),
    st.floats(0, 1),
)
def test_the_threshold_is_that_of_one_flat_vector(layers: list[list[float]], density: float) -> None:
    found = thresholds(lambda: (rows(str(i), values) for i, values in enumerate(layers)), density)["e"]
    flat = np.sort(np.abs(np.float32(np.concatenate(layers))))[::-1]
    kept = int(density * len(flat))
    assert found == (np.inf if kept == 0 else 0.0 if kept == len(flat) else float(flat[kept - 1]))


def expert(folder: Path, seed: int, gain: float) -> Path:
    """Layers of very different size: that is where the scopes differ."""
    stream = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for place, (name, (rows, columns)) in enumerate(SHAPES.items()):
        tensors[f"{name}.lora_A.weight"] = torch.randn(2, columns, generator=stream)
        tensors[f"{name}.lora_B.weight"] = torch.randn(rows, 2, generator=stream) * gain**place
    folder.mkdir()
    write_adapter(folder, TrainedAdapter(tensors=tensors, metadata={"base": "tiny"}))
    return adapter_file(folder)


def deltas(file: Path) -> dict[str, Tensor]:
    reader = read_layers(file)
    return {name: reader.factors(name).up @ reader.factors(name).down for name in reader.names()}


def test_a_merge_of_files_keeps_the_largest_of_the_whole_model(tmp_path: Path) -> None:
    files = [expert(tmp_path / f"e{seed}", seed, 3.0) for seed in (1, 2)]
    plan = MergePlan(
        strategy=build("ties", density=0.4, scope="model"), files=files, expert_ids=("a", "b"), base="tiny"
    )
    merge_files(plan, tmp_path / "m.safetensors")
    found = deltas(tmp_path / "m.safetensors")
    trimmed = []
    for file in files:
        whole = deltas(file)
        sizes = torch.cat([part.abs().flatten() for part in whole.values()]).sort(descending=True).values
        low = sizes[int(0.4 * len(sizes)) - 1]
        trimmed.append({name: part * (part.abs() >= low) for name, part in whole.items()})
    for name in SHAPES:
        first, second = trimmed[0][name], trimmed[1][name]
        sign = torch.where(first + second >= 0, 1.0, -1.0)
        agree = [part * (part.sign() == sign) for part in (first, second)]
        count = sum((part != 0).float() for part in agree).clamp(min=1)
        torch.testing.assert_close(found[name], sum(agree) / count, rtol=1e-5, atol=1e-6)
    assert float((found["unet.a"] != 0).float().mean()) < 0.4 < float((found["unet.c"] != 0).float().mean())


def test_one_layer_alone_is_refused() -> None:
    work = job(Draw(0).experts(), [0.5] * len(Draw(0).experts()))
    with pytest.raises(UserError, match="needs all layers"):
        build("ties", scope="model").merge_layer(work)

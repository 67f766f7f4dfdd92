"""The driver of merges: streams layers, checks that experts belong together, records what it did."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from selma_core.artifacts.adapter import adapter_file, read_layers, write_adapter
from selma_core.errors import ArtifactError, UserError
from selma_core.merging.files import MergePlan, merge_files
from selma_core.protocols import Factors, LayerJob, TrainedAdapter


class Recorder:
    """A strategy that keeps what it is shown and returns the first expert."""

    def __init__(self) -> None:
        self.jobs: list[LayerJob] = []

    def weights(self, count: int, base: str) -> tuple[float, ...]:
        return (0.5,) * count

    def merge_layer(self, job: LayerJob) -> Factors | None:
        self.jobs.append(job)
        return job.experts[0]


def _write(folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    folder.mkdir(parents=True)
    write_adapter(folder, TrainedAdapter(tensors=tensors, metadata={"base": "tiny"}))
    return adapter_file(folder)


def _layer(name: str, out: int = 3, into: int = 5, rank: int = 2) -> dict[str, torch.Tensor]:
    return {f"{name}.lora_A.weight": torch.randn(rank, into), f"{name}.lora_B.weight": torch.randn(out, rank)}


def test_layers_come_one_by_one_sorted_with_none_for_missing(tmp_path: Path) -> None:
    first = _write(tmp_path / "a", {**_layer("unet.b"), **_layer("unet.a")})
    second = _write(tmp_path / "b", _layer("unet.a"))
    strategy, steps = Recorder(), []
    plan = MergePlan(strategy=strategy, files=[first, second], expert_ids=["x", "y"], base="tiny", seed=7)
    card = merge_files(plan, tmp_path / "out.safetensors", lambda d, t: steps.append((d, t)))
    assert [job.name for job in strategy.jobs] == ["unet.a", "unet.b"]
    assert strategy.jobs[1].experts[1] is None
    assert all(job.expert_ids == ("x", "y") and job.seed == 7 and job.weights == (0.5, 0.5) for job in strategy.jobs)
    assert steps == [(0, 2), (1, 2), (2, 2)]
    # The first expert against half of the first plus nothing: twice the norm.
    assert card["norm_ratio"]["unet.b"] == pytest.approx(2.0)
    assert card["base"] == "tiny"


def test_experts_of_different_models_are_refused(tmp_path: Path) -> None:
    files = [_write(tmp_path / "a", _layer("unet.a")), _write(tmp_path / "b", _layer("unet.a", into=7))]
    with pytest.raises(ArtifactError, match=r"unet\.a.*different models"):
        merge_files(
            MergePlan(strategy=Recorder(), files=files, expert_ids=["x", "y"], base="tiny"), tmp_path / "o.safetensors"
        )
    assert not list(tmp_path.glob("*.safetensors*"))


def test_nothing_to_merge(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least one"):
        merge_files(MergePlan(strategy=Recorder(), files=[], expert_ids=[], base="tiny"), tmp_path / "o.safetensors")


def test_fp16_experts_are_merged_in_fp32(tmp_path: Path) -> None:
    tensors = {name: value.half() for name, value in _layer("unet.a").items()}
    save_file(tensors, tmp_path / "half.safetensors")
    files = [tmp_path / "half.safetensors"]
    merge_files(MergePlan(strategy=Recorder(), files=files, expert_ids=["x"], base="t"), tmp_path / "o.safetensors")
    factors = read_layers(tmp_path / "o.safetensors").factors("unet.a")
    assert torch.equal(factors.up, tensors["unet.a.lora_B.weight"].float())

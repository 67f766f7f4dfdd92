"""The trainers `dora` and `full`: what leaves as an adapter is what was tuned, and everything downstream takes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from selma_plugins.diffusion.fuse import adapted
from selma_plugins.diffusion.loading import load_pipeline
from selma_plugins.training.options import DoraOptions, FullOptions
from selma_plugins.training.tuning import Tuning
from selma_plugins.training.whole_weights import DoraTuning, FullTuning, full_rank

import selma_core
from selma_core.artifacts.adapter import adapter_file, read_layers, write_adapter
from selma_core.errors import ArtifactError, UserError
from selma_core.protocols import TrainedAdapter
from tests.tiny_stage import TinyContext
from tests.training.test_trainer import same

METHODS = ("dora", "full")
TARGETS = ["to_q", "to_out.0", "ff.net.2", "conv1"]  # square, wide and tall matrices, and convolutions


def tuning_of(method: str) -> Tuning:
    if method == "full":
        return FullTuning(FullOptions(model="m", targets=TARGETS))
    return DoraTuning(DoraOptions(model="m", rank=2, alpha=4.0, targets=TARGETS))


def stored(folder: Path, tensors: Any) -> Path:
    folder.mkdir()
    write_adapter(folder, TrainedAdapter(tensors=tensors))
    return adapter_file(folder)


@torch.no_grad()
def answer(pipeline: Any) -> torch.Tensor:
    stream = torch.Generator().manual_seed(3)
    latents, text = torch.randn(2, 4, 8, 8, generator=stream), torch.randn(2, 7, 32, generator=stream)
    return pipeline.unet(latents, torch.tensor([300, 700]), encoder_hidden_states=text).sample


def perturbed(tuning: Tuning, pipeline: Any) -> dict[str, torch.Tensor]:
    """Puts the tuning in and moves all its weights at random; their values."""
    weights = tuning.insert(pipeline.unet, 0, ())
    stream = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in weights.values():
            weight.add_(torch.randn(weight.shape, generator=stream), alpha=0.1)
    return {name: weight.detach().clone() for name, weight in weights.items()}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "as PEFT layers"])
def test_the_adapter_is_what_was_tuned(method: str, fused: bool, models: Callable[[str], Path], tmp_path: Path) -> None:
    tuned, plain = (load_pipeline(models("epsilon"), torch.float32) for _ in range(2))
    untouched, tuning = answer(plain), tuning_of(method)
    file = stored(tmp_path / "adapter", tuning.tensors(perturbed(tuning, tuned), "unet"))
    wanted = answer(tuned)
    assert not torch.allclose(untouched, wanted, atol=1e-2)
    with adapted(plain, file, fused=fused):
        torch.testing.assert_close(answer(plain), wanted, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_starting_from_a_lora_starts_at_the_base_with_it(
    method: str, train: Any, models: Callable[[str], Path], tmp_path: Path
) -> None:
    lora = stored(tmp_path / "lora", train(targets=TARGETS, steps=2).tensors)
    tuned, plain = (load_pipeline(models("epsilon"), torch.float32) for _ in range(2))
    tuning = tuning_of(method)
    tuning.insert(tuned.unet, 0, ())
    tuning.start_from(lora, "unet")
    with adapted(plain, lora):
        torch.testing.assert_close(answer(tuned), answer(plain), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_it_learns(train: Any, method: str) -> None:
    adapter = train(method=method, steps=20, lr=1e-2, heldout=0.2, save_every=20)
    assert adapter.metadata["method"] == method
    assert adapter.curve[-1]["heldout"] < 0.95 * adapter.metadata["heldout_before"]
    assert all(name.endswith((".lora_A.weight", ".lora_B.weight")) for name in adapter.tensors)


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_run_resumes_bit_by_bit(train: Any, tmp_path: Path, method: str) -> None:
    settings = {"method": method, "steps": 5, "save_every": 2, "ema": 0.9, "heldout": 0.2}
    whole = train(**settings)
    context = TinyContext(tmp_path / "killed", stop_at=3)
    with pytest.raises(KeyboardInterrupt):
        train(context=context, **settings)
    context.stop_at = None
    resumed = train(context=context, **settings)
    assert same(resumed, whole)
    assert resumed.curve == whole.curve


def test_magnitudes_alone_scale_the_rows(models: Callable[[str], Path]) -> None:
    pipeline = load_pipeline(models("epsilon"), torch.float32)
    tuning = tuning_of("dora")
    weights = tuning.insert(pipeline.unet, 0, ())
    doubled = {name: w.detach() * (2 if "magnitude" in name else 1) for name, w in weights.items()}
    tensors = tuning.tensors(doubled, "unet")
    names = [name.removesuffix(".lora_A.weight") for name in tensors if name.endswith("lora_A.weight")]
    assert any("conv1" in name for name in names)
    for name in names:
        delta = tensors[f"{name}.lora_B.weight"].flatten(1) @ tensors[f"{name}.lora_A.weight"].flatten(1)
        base = pipeline.unet.get_submodule(name.removeprefix("unet.")).base_layer.weight.flatten(1)
        torch.testing.assert_close(delta, base.detach(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (4, 3, 3, 3), (9, 2, 1, 1)])
def test_factors_of_full_rank_are_exact(shape: tuple[int, ...]) -> None:
    delta = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = full_rank("unet.x", delta)
    up, down = found["unet.x.lora_B.weight"], found["unet.x.lora_A.weight"]
    assert torch.equal((up.flatten(1) @ down.flatten(1)).view_as(delta), delta)


@pytest.mark.parametrize("method", METHODS)
def test_adapters_of_full_rank_merge_with_a_lora(train: Any, method: str, tmp_path: Path) -> None:
    files = [
        stored(tmp_path / "one", train(method=method, targets=TARGETS, steps=2).tensors),
        stored(tmp_path / "two", train(targets=TARGETS, steps=2).tensors),
    ]
    merged = read_layers(selma_core.merge(files, tmp_path / "m.safetensors", strategy="linear", base="tiny").path)
    one, two = map(read_layers, files)
    assert merged.names() == one.names() == two.names()
    for name in merged.names():
        found, first, second = (
            f.up.flatten(1) @ f.down.flatten(1) for f in (r.factors(name) for r in (merged, one, two))
        )
        torch.testing.assert_close(found, (first + second) / 2, atol=1e-6, rtol=1e-4)


def test_a_full_tuning_refuses_what_it_does_not_train(train: Any, tmp_path: Path) -> None:
    lora = stored(tmp_path / "lora", train(steps=1).tensors)
    with pytest.raises(ArtifactError, match="set 'targets' to the adapter's layers"):
        train(method="full", targets=["to_q"], adapter=lora, steps=1)
    with pytest.raises(UserError, match="did you mean 'to_q'"):
        train(method="full", targets=["to_qq"])


def test_a_foreign_file_with_magnitudes_is_refused_by_name(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    layer = "unet.a.to_q"
    tensors = {f"{layer}.lora_A.weight": torch.ones(1, 2), f"{layer}.lora_B.weight": torch.ones(2, 1)}
    save_file({**tensors, f"{layer}.lora_magnitude_vector": torch.ones(2)}, tmp_path / "dora.safetensors")
    with pytest.raises(ArtifactError, match="DoRA"):
        read_layers(tmp_path / "dora.safetensors")

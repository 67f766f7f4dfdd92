"""Adapters at generation: fused, unfused and plain diffusers agree; the base comes back bit for bit."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from selma_plugins.merging.linear import Linear

from selma_core.artifacts.adapter import adapter_file, write_adapter
from selma_core.artifacts.lora_export import export_adapter
from selma_core.cli import main
from selma_core.errors import ArtifactError, UserError
from selma_core.merging.files import MergePlan, merge_files
from selma_core.merging.options import MergeOptions
from selma_core.protocols import TrainedAdapter
from tests.tiny_stage import requests

ENDS = ("to_q", "to_k", "to_v", "to_out.0")


def _adapter(folder: Path, pipeline: Any, component: str = "unet", gain: float = 0.3, seed: int = 3) -> Path:
    denoiser = getattr(pipeline, component)
    stream = torch.Generator().manual_seed(seed)
    tensors = {}
    for path, module in denoiser.named_modules():
        if path.endswith(ENDS):
            out, into = module.weight.shape
            tensors[f"{component}.{path}.lora_A.weight"] = torch.randn(4, into, generator=stream)
            tensors[f"{component}.{path}.lora_B.weight"] = torch.randn(out, 4, generator=stream) * gain
    folder.mkdir(parents=True)
    write_adapter(folder, TrainedAdapter(tensors=tensors, metadata={"base": "tiny"}))
    return adapter_file(folder)


def _pixels(png: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(png))).astype(int)


@pytest.mark.parametrize(
    ("family", "component"), [("sd", "unet"), ("sdxl", "unet"), ("sd3", "transformer"), ("flux", "transformer")]
)
def test_fused_equals_unfused(draw: Any, plain: Any, tmp_path: Path, family: str, component: str) -> None:
    adapter = _adapter(tmp_path / "adapter", plain(family), component)
    asked = requests(2)
    base = draw(asked, family)
    fused = draw(asked, family, adapter=adapter, adapter_scale=0.7)
    unfused = draw(asked, family, adapter=adapter, adapter_scale=0.7, adapter_mode="unfused")
    for name in base:
        assert np.abs(_pixels(fused[name]) - _pixels(base[name])).max() > 3
        assert np.abs(_pixels(fused[name]) - _pixels(unfused[name])).max() <= 1


def test_experts_served_unmerged_draw_what_their_linear_merge_draws(draw: Any, plain: Any, tmp_path: Path) -> None:
    experts = tuple(_adapter(tmp_path / f"e{seed}", plain("sd"), seed=seed) for seed in (3, 4))
    strategy = Linear(MergeOptions(weights=[0.8, 0.3]))
    merged = tmp_path / "merged.safetensors"
    merge_files(MergePlan(strategy=strategy, files=experts, expert_ids=("a", "b"), base="tiny"), merged)
    asked = requests(2)
    base, one = draw(asked), draw(asked, adapter=merged)
    several = draw(asked, adapters=experts, adapter_weights=[0.8, 0.3])
    for name in base:
        assert np.abs(_pixels(one[name]) - _pixels(base[name])).max() > 3
        assert np.abs(_pixels(one[name]) - _pixels(several[name])).max() <= 1
    mean, halves = draw(asked, adapters=experts), draw(asked, adapters=experts, adapter_weights=[0.5, 0.5])
    assert mean == halves
    with pytest.raises(UserError, match="3 given for 2 adapters"):
        draw(asked, adapters=experts, adapter_weights=[1.0, 1.0, 1.0])


def test_generate_takes_adapters_of_any_form(models: Any, plain: Any, tmp_path: Path) -> None:
    first, second = (_adapter(tmp_path / f"e{seed}", plain("sd"), seed=seed) for seed in (3, 4))
    kohya = export_adapter(first, tmp_path / "kohya.safetensors", "kohya", family="sd1").path
    peft = export_adapter(first, tmp_path / "peft", "peft-dir").path

    def drawn(*adapters: Path, **options: object) -> np.ndarray[Any, Any]:
        out = tmp_path / "x.png"
        settings = [item for key, value in options.items() for item in ("-o", f"{key}={value}")]
        given = [item for adapter in adapters for item in ("--adapter", str(adapter))]
        size = ["--steps", "2", "-o", "height=16", "-o", "width=16", "--device", "cpu"]
        argv = ["generate", "a cat", "--model", str(models("sd")), "--out", str(out), *size, *given, *settings]
        assert main(argv) == 0
        return np.asarray(Image.open(out)).astype(int)

    plainly, alone = drawn(), drawn(first)
    assert np.abs(alone - plainly).max() > 3
    for other in (kohya, peft, first.parent):
        assert np.abs(drawn(other) - alone).max() <= 1
    assert np.abs(drawn(peft, second, adapter_weights="[1.0,0.0]") - alone).max() <= 1
    assert np.abs(drawn(peft, second) - alone).max() > 1


def test_after_the_block_the_base_is_back_bit_for_bit(plain: Any, tmp_path: Path) -> None:
    from selma_plugins.diffusion.fuse import adapted

    pipeline = plain("sd").to(torch.float16)
    adapter = _adapter(tmp_path / "adapter", plain("sd"))
    before = {name: value.clone() for name, value in pipeline.unet.state_dict().items()}
    with adapted(pipeline, adapter):
        changed = [n for n, value in pipeline.unet.state_dict().items() if not torch.equal(value, before[n])]
    assert len(changed) == len([n for n in before if n.removesuffix(".weight").endswith(ENDS)])
    assert all(torch.equal(value, before[name]) for name, value in pipeline.unet.state_dict().items())


def test_half_precision_is_rounded_once(plain: Any, tmp_path: Path) -> None:
    from selma_plugins.diffusion.fuse import adapted

    from selma_core.artifacts.adapter import read_layers

    pipeline = plain("sd").to(torch.float16)
    adapter = _adapter(tmp_path / "adapter", plain("sd"))
    reader = read_layers(adapter)
    layer = reader.names()[0]
    weight = pipeline.unet.get_submodule(layer.removeprefix("unet.")).weight
    factors = reader.factors(layer)
    wanted = (weight.float() + factors.up @ factors.down).half()
    with adapted(pipeline, adapter):
        assert torch.equal(weight, wanted)


@pytest.mark.parametrize("mode", ["fused", "unfused"])
def test_an_adapter_of_another_model_is_one_line(draw: Any, plain: Any, tmp_path: Path, mode: str) -> None:
    adapter = _adapter(tmp_path / "adapter", plain("sdxl"))
    with pytest.raises(ArtifactError, match="another model") as caught:
        draw(requests(1), "sd", adapter=adapter, adapter_mode=mode)
    assert "\n" not in str(caught.value)


PLAIN = """
import sys, torch
from diffusers import StableDiffusionPipeline
model, adapter, out, prompt, seed = sys.argv[1:]
pipeline = StableDiffusionPipeline.from_pretrained(model)
pipeline.load_lora_weights(adapter)
generator = torch.Generator("cpu").manual_seed(int(seed))
image = pipeline(prompt, num_inference_steps=2, height=16, width=16, generator=generator).images[0]
image.save(out)
"""


def test_plain_diffusers_without_selma_gives_the_same_image(draw: Any, models: Any, tmp_path: Path, plain: Any) -> None:
    """Another process that cannot import selma: the adapter folder is all it gets."""
    adapter = _adapter(tmp_path / "adapter", plain("sd"))
    (asked,) = requests(1)
    (mine,) = draw((asked,), adapter=adapter, lanes=1, adapter_mode="unfused").values()
    blocked = "import sys\nfor n in ('selma_core', 'selma_plugins', 'selma_registry'): sys.modules[n] = None\n"
    command = [sys.executable, "-c", blocked + PLAIN, str(models("sd")), str(adapter.parent)]
    out = tmp_path / "plain.png"
    subprocess.run([*command, str(out), asked.prompt.text, str(asked.seed)], check=True, cwd=tmp_path)
    difference = np.abs(_pixels(mine) - np.asarray(Image.open(out)).astype(int))
    assert difference.max() <= 1

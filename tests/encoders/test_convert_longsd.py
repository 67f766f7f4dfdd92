"""LongAlign's released weights: their layout, and that what is drawn with the converted ones is what they compute.

The released files themselves are not here; these are written in their layout, from tiny models.
"""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from selma_plugins.diffusion.fuse import adapted
from selma_plugins.diffusion.loading import load_pipeline
from selma_plugins.diffusion.matched import encoder_for
from selma_plugins.encoders.convert_longsd import _unet, convert, layers_of
from selma_plugins.encoders.t5 import T5Rows
from torch import nn

from selma_core.artifacts.adapter import adapter_file, read_card, read_layers
from selma_core.errors import ArtifactError, UserError
from selma_core.options import Slot
from tests import tiny_models
from tests.long_stage import LongContext, t5_folder

Lora = list[torch.Tensor]


class Injected(nn.Module):
    """A layer with factors beside it, as the released code has them; `up` starts at what it learnt."""

    def __init__(self, inner: Any, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.inner = inner
        if isinstance(inner, nn.Conv2d):
            shape = {"kernel_size": inner.kernel_size, "stride": inner.stride, "padding": inner.padding}
            self.down: nn.Module = nn.Conv2d(inner.in_channels, rank, bias=False, **shape)  # type: ignore[arg-type]
            self.up: nn.Module = nn.Conv2d(rank, inner.out_channels, 1, bias=False)
        else:
            self.down = nn.Linear(inner.in_features, rank, bias=False)
            self.up = nn.Linear(rank, inner.out_features, bias=False)
        for part in (self.down, self.up):
            part.weight.data = torch.randn(part.weight.shape, generator=generator) * 0.1  # type: ignore[union-attr]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.inner(x) + self.up(self.down(x))
        return found


def injected(unet: nn.Module, seed: int, rank: int = 2) -> Lora:
    """Puts factors into a UNet where the released code has some; the list that it would store, in fp16."""
    generator = torch.Generator().manual_seed(seed)
    stored: Lora = []
    blocks = [block for block in unet.modules() if type(block).__name__ in ("ResnetBlock2D", "Attention", "GEGLU")]
    for block in blocks:
        for path, module in list(block.named_modules()):
            if not isinstance(module, nn.Linear | nn.Conv2d):
                continue
            made = Injected(module, rank, generator)
            for part in (made.down, made.up):
                part.weight.data = part.weight.data.half().float()  # type: ignore[union-attr, operator]
            parent, _, name = path.rpartition(".")
            block.get_submodule(parent)._modules[name] = made  # keeps the place, in lists too
            stored += [made.up.weight.data.half(), made.down.weight.data.half()]  # type: ignore[union-attr, operator]
    return stored


def released_adapter(t5: int, hidden: int, clip: int, seed: int = 4) -> dict[str, torch.Tensor]:
    """A state dict in the released layout."""
    torch.manual_seed(seed)

    def forward(width: int, out: int) -> nn.Module:
        gate = nn.ModuleDict({"proj": nn.Linear(width, 8 * width)})
        return nn.ModuleDict({"net": nn.Sequential(gate, nn.Dropout(), nn.Linear(4 * width, out))})

    norms = {"norm1": nn.LayerNorm(t5), "norm2": nn.LayerNorm(hidden)}
    return nn.ModuleDict({"ff1": forward(t5, hidden), "ff2": forward(hidden, clip), **norms}).state_dict()


def by_hand(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    for n in (1, 2):
        x = torch.nn.functional.layer_norm(x, x.shape[-1:], state[f"norm{n}.weight"], state[f"norm{n}.bias"])
        wide = x @ state[f"ff{n}.net.0.proj.weight"].T + state[f"ff{n}.net.0.proj.bias"]
        value, gate = wide.chunk(2, -1)
        x = value * torch.nn.functional.gelu(gate) @ state[f"ff{n}.net.2.weight"].T + state[f"ff{n}.net.2.bias"]
    return x


@pytest.fixture
def files(folder: Callable[[str], Path], tmp_path: Path) -> dict[str, Any]:
    """The released folder in small: the two LoRA files and the adapter, and the UNet that has both inside."""
    unet = tiny_models.unet()
    first = injected(unet, 1)
    torch.save(first, tmp_path / "s.pt")
    plain = tiny_models.unet()
    second = injected(plain, 2)
    torch.save(second, tmp_path / "r.pt")
    state = released_adapter(24, 8, 32)
    (tmp_path / "adapter").mkdir()
    save_file({k: v.clone() for k, v in state.items()}, tmp_path / "adapter" / "diffusion_pytorch_model.safetensors")
    return {"s": tmp_path / "s.pt", "r": tmp_path / "r.pt", "adapter": tmp_path / "adapter", "state": state,
            "unet": folder("sd"), "with_s": unet, "with_r": plain}  # fmt: skip


def answer(unet: Any) -> torch.Tensor:
    torch.manual_seed(0)
    noisy, text = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 32)
    with torch.no_grad():
        return unet(noisy, torch.tensor([10, 700]), text, return_dict=False)[0]  # type: ignore[no-any-return]


def test_longalign_13_the_order_is_that_of_the_released_code() -> None:
    """The 224 layers of SD 1.5 as diffusers 0.28.2, which the file was written with, orders them (measured there)."""
    names = list(layers_of(_unet(None)))
    assert len(names) == 224
    assert names[0] == "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    assert names[-1] == "mid_block.resnets.1.conv2"
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    assert digest == "9a0800da02f29196af2b102ae738f57628463ea0ffefceae96f2f0c84aff6ef7"


def test_longalign_13_a_converted_file_computes_what_it_did(files: dict[str, Any], tmp_path: Path) -> None:
    """The UNet with the factors beside its layers, against the converted adapter folded into it."""
    for name in ("s", "r"):
        convert(tmp_path / f"out_{name}", adapter=files["adapter"], loras=[files[name]], unet=files["unet"])
        pipeline = load_pipeline(files["unet"], torch.float32)
        before = answer(pipeline.unet)
        with adapted(pipeline, adapter_file(tmp_path / f"out_{name}")):
            found = answer(pipeline.unet)
        assert torch.allclose(found, answer(files[f"with_{name}"]), atol=1e-4)
        assert not torch.allclose(found, before, atol=1e-2)


def test_both_phases_together_are_the_sum_of_their_deltas(files: dict[str, Any], tmp_path: Path) -> None:
    parts = {"s": [files["s"]], "r": [files["r"]], "both": [files["s"], files["r"]]}
    read = {}
    for name, loras in parts.items():
        convert(tmp_path / f"out_{name}", adapter=files["adapter"], loras=loras, unet=files["unet"])
        read[name] = read_layers(adapter_file(tmp_path / f"out_{name}"))
    layers = read["both"].names()
    assert len(layers) == len(layers_of(tiny_models.unet()))
    for layer in layers:
        one, other, both = (read[name].factors(layer) for name in ("s", "r", "both"))
        s, r, found = (f.up.flatten(1) @ f.down.flatten(1) for f in (one, other, both))
        assert torch.allclose(found, s + r, atol=1e-6)
    card = read_card(tmp_path / "out_both")
    assert (card["rank"], card["alpha"], card["base"]) == (4, 4, "stable-diffusion-v1-5/stable-diffusion-v1-5")


def test_the_converted_adapter_reads_as_it_did(files: dict[str, Any], tmp_path: Path) -> None:
    t5 = t5_folder(tmp_path / "t5", 24)
    convert(tmp_path / "out", adapter=files["adapter"], loras=[files["s"]], unet=files["unet"], t5=str(t5))
    card = read_card(tmp_path / "out")
    assert card["encoder"]["use"] == "longalign"
    assert card["encoder"]["options"] == {"splitter": "official", "t5": str(t5), "t5_hidden": 8}
    encoder = encoder_for(Slot(), [adapter_file(tmp_path / "out")], LongContext(tmp_path))
    pipeline = load_pipeline(files["unet"], torch.float32)
    found = encoder.encode(pipeline, ["a cat. a hat", ""]).hidden
    assert found.shape == (2, 480, 32)
    plain = encoder_for(Slot("longalign", {"splitter": "official"}), [], LongContext(tmp_path))
    assert torch.equal(found[:, :240], plain.encode(pipeline, ["a cat. a hat", ""]).hidden)
    states = T5Rows(str(t5), 240, masked=False, context=None).states(["a cat. a hat", ""], torch.device("cpu"))
    assert torch.allclose(found[:, 240:], by_hand(files["state"], states), atol=1e-5)


def test_the_adapter_alone_is_a_start_for_training(files: dict[str, Any], tmp_path: Path) -> None:
    file = files["adapter"] / "diffusion_pytorch_model.safetensors"
    convert(tmp_path / "out", adapter=file, loras=[], splitter="sentence")
    assert read_card(tmp_path / "out")["encoder"]["options"]["splitter"] == "sentence"
    assert not read_layers(adapter_file(tmp_path / "out")).names()
    assert "rank" not in read_card(tmp_path / "out")


def test_the_released_adapter_has_the_size_that_was_measured() -> None:
    with torch.device("meta"):
        assert sum(value.numel() for value in released_adapter(1024, 896, 768).values()) == 21_254_528


def test_what_is_no_released_file_is_told(files: dict[str, Any], tmp_path: Path) -> None:
    stored: Lora = torch.load(files["s"], weights_only=True)

    def tried(adapter: Path | None = None, lora: Any = None) -> None:
        torch.save(stored if lora is None else lora, tmp_path / "tried.pt")
        convert(
            tmp_path / "out", adapter=adapter or files["adapter"], loras=[tmp_path / "tried.pt"], unet=files["unet"]
        )

    count = len(stored)
    for lora, words in (
        ({"a": torch.zeros(1)}, "is no list of tensors"),
        (stored[:-2], rf"holds {count - 2} tensors, the UNet's {count // 2} layers need {count}"),
        ([*stored[2:], *stored[:2]], r"do not fit layer '.*' \[.*\]: another UNet, or another order"),
        ([one for pair in zip(stored[1::2], stored[::2], strict=True) for one in pair], "do not fit layer"),
    ):
        with pytest.raises(ArtifactError, match=words):
            tried(lora=lora)
    for state, words in (
        ({**files["state"], "x": torch.zeros(1)}, "'x' is no tensor of LongAlign's T5 adapter"),
        ({k: v for k, v in files["state"].items() if k != "norm1.weight"}, "holds no 'norm1.weight'"),
        ({k: v for k, v in files["state"].items() if k != "norm1.bias"}, "'norm1.bias' is missing"),
    ):
        save_file({k: v.clone() for k, v in state.items()}, tmp_path / "a.safetensors")
        with pytest.raises(ArtifactError, match=words):
            tried(adapter=tmp_path / "a.safetensors")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match=r"holds neither diffusion_pytorch_model\.safetensors nor"):
        tried(adapter=tmp_path / "empty")
    with pytest.raises(UserError, match=r"holds no unet/config\.json"):
        convert(tmp_path / "out", adapter=files["adapter"], loras=[files["s"]], unet=tmp_path / "empty")
    with pytest.raises(UserError, match="exists; name a folder that does not"):
        convert(tmp_path, adapter=files["adapter"], loras=[])
    assert not (tmp_path / "out").exists()


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (Path("exploded"),)


def test_code_in_a_file_is_not_run(files: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pt").write_bytes(pickle.dumps([Bomb()]))
    with pytest.raises(ArtifactError, match="cannot be read as tensors"):
        convert(tmp_path / "out", adapter=files["adapter"], loras=[tmp_path / "evil.pt"], unet=files["unet"])
    assert not (tmp_path / "exploded").exists()


def test_the_command_says_in_one_line_what_is_wrong(files: dict[str, Any], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "selma_plugins.encoders.convert_longsd", str(tmp_path / "out")]
    wrong = [*command, "--adapter", str(files["adapter"]), "--lora", "none.pt"]
    done = subprocess.run(wrong, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: none.pt: cannot be read as tensors")
    assert len(done.stderr.splitlines()) == 1
    right = [*command, "--adapter", str(files["adapter"]), "--lora", "s.pt", "--unet", str(files["unet"])]
    assert subprocess.run(right, check=False, cwd=tmp_path).returncode == 0
    assert (tmp_path / "out" / "encoder.safetensors").is_file()

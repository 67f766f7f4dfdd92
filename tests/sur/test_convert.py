"""The released checkpoint: its layout, what of it is used, and that it computes what it did."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from selma_plugins.diffusion.loading import load_pipeline
from selma_plugins.diffusion.matched import encoder_for
from selma_plugins.sur.convert import convert
from selma_plugins.sur.encoder import SurEncoder
from selma_plugins.sur.network import FEED_FORWARD
from selma_plugins.sur.options import SurEncoderOptions
from torch import nn

from selma_core.artifacts.adapter import adapter_file, read_card
from selma_core.artifacts.encoder import learnt_file, read_learnt
from selma_core.errors import ArtifactError, UserError
from selma_core.options import Slot
from tests.sur.conftest import SurContext


def released(width: int) -> dict[str, torch.Tensor]:
    """A state dict in the released layout, made of torch's own modules, with weights that do something."""
    torch.manual_seed(3)
    layer = nn.TransformerEncoderLayer(width, 8, FEED_FORWARD)
    attention: dict[str, nn.Module] = {
        "query_layer": nn.Linear(width, width),
        "key_layer": nn.Linear(width, width),
        "value_layer": nn.Linear(width, width),
        "output_layer": nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)),
    }
    parts: dict[str, Any] = {
        "encoder_layer": layer,
        "transformer_encoder": nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
        "attention": nn.ModuleDict(attention),
        "fc": nn.Linear(width, width),
    }
    return nn.ModuleDict(parts).state_dict()


def by_hand(state: dict[str, torch.Tensor], x: torch.Tensor, eta: float) -> torch.Tensor:
    """Section 2.2's formulas on that state dict."""
    layer = nn.TransformerEncoderLayer(x.shape[-1], 8, FEED_FORWARD)
    stack = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    prefix = "transformer_encoder."
    stack.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})

    def linear(name: str, value: torch.Tensor) -> torch.Tensor:
        return value @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    t = stack(x)
    scores = linear("attention.query_layer", t) @ linear("attention.key_layer", x).transpose(-2, -1)
    w = torch.softmax(scores / math.sqrt(x.shape[-1]), -1) @ x + x
    a = linear("attention.output_layer.2", torch.relu(linear("attention.output_layer.0", w))) + w
    return eta * linear("fc", a) + (1 - eta) * x


def test_the_released_layout_has_the_size_that_was_measured() -> None:
    assert sum(value.numel() for value in released(768).values()) == 20_085_504


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_converted_checkpoint_computes_what_it_did(base: Path, tmp_path: Path, suffix: str) -> None:
    from safetensors.torch import save_file

    state = released(32)
    file = tmp_path / f"adapter.{suffix}"
    if suffix == "pt":
        torch.save(state, file)
    else:
        save_file({name: value.clone() for name, value in state.items()}, file)
    convert(file, tmp_path / "out", base="sd15", eta=0.3)
    adapter = adapter_file(tmp_path / "out")
    assert not any("value" in name or "encoder_layer" in name for name in read_learnt(learnt_file(adapter)))
    card = read_card(tmp_path / "out")
    assert (card["base"], card["sur_adapter"]["eta"], card["sur_adapter"]["legacy"]) == ("sd15", 0.3, True)
    pipeline = load_pipeline(base, torch.float32)
    found = encoder_for(Slot(), [adapter], SurContext(tmp_path)).encode(pipeline, ["a cat"]).hidden
    plain = SurEncoder(SurEncoderOptions()).plain(pipeline, ["a cat"]).hidden
    with torch.no_grad():
        assert torch.allclose(found, by_hand(state, plain, 0.3), atol=1e-5)


def test_what_is_no_released_adapter_is_told(tmp_path: Path) -> None:
    state = released(32)
    for name, value, words in (
        ("extra", {**state, "unet.x": torch.zeros(1)}, "'unet.x' is no tensor of the released SUR-adapter"),
        ("short", {k: v for k, v in state.items() if "query" not in k}, "'query.weight' is missing"),
        ("other", {"fc.bias": torch.zeros(1)}, "holds no 'fc.weight'"),
        ("list", [1], "is no plain state dict"),
    ):
        torch.save(value, tmp_path / f"{name}.pt")
        with pytest.raises(ArtifactError, match=words):
            convert(tmp_path / f"{name}.pt", tmp_path / name, base="x", eta=0.1)
    with pytest.raises(UserError, match="exists; name a folder that does not"):
        convert(tmp_path / "short.pt", tmp_path, base="x", eta=0.1)


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path("exploded"),)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "adapter.pt").write_bytes(pickle.dumps({"fc.weight": Bomb()}))
    with pytest.raises(ArtifactError, match="cannot be read as tensors"):
        convert(tmp_path / "adapter.pt", tmp_path / "out", base="x", eta=0.1)
    assert not (tmp_path / "exploded").exists()


def test_the_command_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "selma_plugins.sur.convert", "none.pt", str(tmp_path / "out"), "--base", "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: none.pt: cannot be read as tensors")
    assert len(done.stderr.splitlines()) == 1

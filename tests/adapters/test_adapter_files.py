"""Adapters on disk: plain diffusers loads them, and what is not a plain LoRA is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors import safe_open
from safetensors.torch import save_file

from selma_core.artifacts.adapter import adapter_file, read_card, read_layers, write_adapter
from selma_core.errors import ArtifactError
from selma_core.protocols import TrainedAdapter


@pytest.mark.parametrize("ranks", [(4,), (4, 8, 2)])
def test_plain_diffusers_applies_the_same_deltas(
    model: Path, make: Any, tmp_path: Path, ranks: tuple[int, ...]
) -> None:
    adapter = make(ranks=ranks)
    write_adapter(tmp_path, adapter)
    pipeline = StableDiffusionPipeline.from_pretrained(model)
    before = {n: p.detach().clone() for n, p in pipeline.unet.named_parameters()}
    pipeline.load_lora_weights(tmp_path)  # no weight_name: the folder's file has the expected name
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()
    after = dict(pipeline.unet.named_parameters())
    layers = read_layers(tmp_path).names()
    assert len(layers) == len(adapter.tensors) // 2
    for layer in layers:
        path = layer.removeprefix("unet.")
        delta = adapter.tensors[f"{layer}.lora_B.weight"] @ adapter.tensors[f"{layer}.lora_A.weight"]
        torch.testing.assert_close(after[f"{path}.weight"] - before[f"{path}.weight"], delta, atol=2e-6, rtol=1e-5)


def test_reading_gives_back_what_was_written(make: Any, tmp_path: Path) -> None:
    adapter = make(ranks=(4, 8))
    write_adapter(tmp_path, adapter)
    reader = read_layers(adapter_file(tmp_path))
    for layer in reader.names():
        factors = reader.factors(layer)
        assert torch.equal(factors.down, adapter.tensors[f"{layer}.lora_A.weight"])
        assert torch.equal(factors.up, adapter.tensors[f"{layer}.lora_B.weight"])
    assert read_card(tmp_path) == {"base": "tiny"}
    assert (tmp_path / "curve.jsonl").read_text() == '{"step": 1, "loss": 0.5}\n'


def test_equal_adapters_give_equal_bytes(make: Any, tmp_path: Path) -> None:
    adapter = make(ranks=(4, 8))
    backwards = TrainedAdapter(tensors=dict(reversed(list(adapter.tensors.items()))), metadata=adapter.metadata)
    for name, each in (("a", adapter), ("b", backwards)):
        (tmp_path / name).mkdir()
        write_adapter(tmp_path / name, each)
    assert adapter_file(tmp_path / "a").read_bytes() == adapter_file(tmp_path / "b").read_bytes()


def test_the_header_holds_only_what_every_reader_takes(make: Any, tmp_path: Path) -> None:
    write_adapter(tmp_path, make(ranks=(4, 8)))
    with safe_open(adapter_file(tmp_path), framework="pt") as file:
        config = json.loads(file.metadata()["lora_adapter_metadata"])
        assert list(file.keys()) == sorted(file.keys())
    assert {key.split(".")[1] for key in config} == {
        "r", "lora_alpha", "target_modules", "rank_pattern", "alpha_pattern", "use_dora", "use_rslora", "lora_bias",
    }  # fmt: skip
    assert config["unet.rank_pattern"] == config["unet.alpha_pattern"]  # alpha = rank everywhere: scale 1


FORMS = {
    "native": ("{}.lora_A.weight", "{}.lora_B.weight"),
    "native, named": ("{}.lora_A.default.weight", "{}.lora_B.default.weight"),
    "diffusers": ("{}.lora.down.weight", "{}.lora.up.weight"),
}


@pytest.mark.parametrize("form", FORMS)
def test_key_forms_and_stored_alpha(form: str, tmp_path: Path) -> None:
    down, up = torch.randn(4, 6), torch.randn(5, 4)
    names = [each.format("unet.mid_block.attn.to_q") for each in FORMS[form]]
    alpha = {"unet.mid_block.attn.to_q.alpha": torch.tensor(2.0)}
    save_file({names[0]: down, names[1]: up, **alpha}, tmp_path / "x.safetensors")
    factors = read_layers(tmp_path / "x.safetensors").factors("unet.mid_block.attn.to_q")
    torch.testing.assert_close(factors.up @ factors.down, up @ down * 2 / 4)


def test_old_diffusers_names(tmp_path: Path) -> None:
    stem = "mid_block.attentions.0.attn1.processor"
    tensors = {}
    for name in ("to_q", "to_out"):
        tensors[f"{stem}.{name}_lora.down.weight"] = torch.randn(2, 4)
        tensors[f"{stem}.{name}_lora.up.weight"] = torch.randn(4, 2)
    save_file(tensors, tmp_path / "x.safetensors")
    assert read_layers(tmp_path / "x.safetensors").names() == [
        "unet.mid_block.attentions.0.attn1.to_out.0",
        "unet.mid_block.attentions.0.attn1.to_q",
    ]


def test_rslora_scale_from_the_header(tmp_path: Path) -> None:
    config = {"unet.r": 4, "unet.lora_alpha": 8, "unet.use_rslora": True}
    tensors = {"unet.a.lora_A.weight": torch.ones(4, 3), "unet.a.lora_B.weight": torch.ones(2, 4)}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"lora_adapter_metadata": json.dumps(config)})
    factors = read_layers(tmp_path / "x.safetensors").factors("unet.a")
    torch.testing.assert_close(factors.up, torch.full((2, 4), 8 / 2.0))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("unet.a.to_q.dora_scale", "DoRA"),
        ("unet.a.to_q.lora_magnitude_vector", "DoRA"),
        ("unet.a.to_q.hada_w1_a", "LoHa"),
        ("unet.a.to_q.lokr_w1", "LoKr"),
        ("unet.a.to_q.lora_B.bias", "bias"),
        ("unet.a.to_q.lora_diag", "KaSA"),
        ("unet.a.to_q.oft_blocks", "OFT"),
        ("lora_unet_mid_block_to_q.lora_down.weight", "not part of a LoRA"),
        ("unet.a.to_q.weight", "not part of a LoRA"),
    ],
)
def test_other_formats_are_refused_by_tensor_name(name: str, kind: str, tmp_path: Path) -> None:
    good = {"unet.a.lora_A.weight": torch.ones(4, 3), "unet.a.lora_B.weight": torch.ones(2, 4)}
    save_file({**good, name: torch.ones(2, 2)}, tmp_path / "x.safetensors")
    with pytest.raises(ArtifactError, match=kind) as caught:
        read_layers(tmp_path / "x.safetensors")
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nan_is_named(make: Any, tmp_path: Path) -> None:
    adapter = make()
    name = sorted(adapter.tensors)[0]
    adapter.tensors[name][0, 0] = float("nan")
    with pytest.raises(ArtifactError, match="NaN") as caught:
        write_adapter(tmp_path, adapter)
    assert name in str(caught.value)
    save_file(dict(adapter.tensors), tmp_path / "x.safetensors")
    reader = read_layers(tmp_path / "x.safetensors")
    with pytest.raises(ArtifactError, match="NaN"):
        reader.factors(name.removesuffix(".lora_A.weight"))


@pytest.mark.parametrize("keep", [0, 5, 40, -1])
def test_a_truncated_file_is_one_line(make: Any, tmp_path: Path, keep: int) -> None:
    write_adapter(tmp_path, make())
    whole = adapter_file(tmp_path).read_bytes()
    adapter_file(tmp_path).write_bytes(whole[:keep])
    with pytest.raises(ArtifactError) as caught:
        read_layers(tmp_path)
    assert str(adapter_file(tmp_path)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_factor_is_named(tmp_path: Path) -> None:
    save_file({"unet.a.lora_A.weight": torch.ones(4, 3)}, tmp_path / "x.safetensors")
    with pytest.raises(ArtifactError, match=r"unet\.a"):
        read_layers(tmp_path / "x.safetensors")


def test_a_tensor_that_is_not_canonical_is_not_written(tmp_path: Path) -> None:
    tensors = {"unet.a.lora.down.weight": torch.ones(4, 3)}
    with pytest.raises(ArtifactError, match="canonical"):
        write_adapter(tmp_path, TrainedAdapter(tensors=tensors))
    assert not adapter_file(tmp_path).exists()

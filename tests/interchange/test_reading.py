"""One adapter in the spellings of six programs is read as the same deltas; what is ambiguous or no LoRA is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from selma_core.artifacts.lora_reader import read_layers
from selma_core.errors import ArtifactError
from tests.interchange.samples import delta, factors, named, peft_folder, write

TO_Q = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
CONV = "down_blocks.1.resnets.0.conv1"
FC1 = "text_model.encoder.layers.0.mlp.fc1"
SHAPES = {f"unet.{TO_Q}": (6, 5), f"unet.{CONV}": (4, 3, 3, 3), f"text_encoder.{FC1}": (8, 5)}
LAYERS = sorted(SHAPES)
A_B = (".lora_A.weight", ".lora_B.weight")
DOWN_UP = (".lora_down.weight", ".lora_up.weight")
DIFFUSERS = (".lora.down.weight", ".lora.up.weight")
SPELLINGS = {
    "native": ({layer: layer for layer in LAYERS}, A_B),
    "diffusers": ({layer: layer for layer in LAYERS}, DIFFUSERS),
    "kohya": (
        {
            f"unet.{TO_Q}": "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q",
            f"unet.{CONV}": "lora_unet_down_blocks_1_resnets_0_conv1",
            f"text_encoder.{FC1}": "lora_te_text_model_encoder_layers_0_mlp_fc1",
        },
        DOWN_UP,
    ),
    "kohya, sgm": (
        {
            f"unet.{TO_Q}": "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q",
            f"unet.{CONV}": "lora_unet_input_blocks_4_0_in_layers_2",
            f"text_encoder.{FC1}": "lora_te1_text_model_encoder_layers_0_mlp_fc1",
        },
        DOWN_UP,
    ),
    "comfyui": (
        {
            f"unet.{TO_Q}": "diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q",
            f"unet.{CONV}": "diffusion_model.input_blocks.4.0.in_layers.2",
            f"text_encoder.{FC1}": f"text_encoders.clip_l.transformer.{FC1}",
        },
        A_B,
    ),
}


@pytest.mark.parametrize("alpha", [None, 1.0, 6.0])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_form_gives_the_same_deltas(spelling: str, alpha: float | None, tmp_path: Path) -> None:
    found = factors(SHAPES)
    names, ends = SPELLINGS[spelling]
    reader = read_layers(write(tmp_path / "x.safetensors", named(found, names, ends, alpha)))
    assert reader.names() == LAYERS
    assert reader.form == spelling.partition(",")[0]
    for layer, (down, up) in found.items():
        read = reader.factors(layer)
        scale = 1.0 if alpha is None else alpha / down.shape[0]
        torch.testing.assert_close(read.up.flatten(1) @ read.down.flatten(1), delta(down, up, scale))
        assert read.down.shape == down.shape
        assert reader.info(layer).alpha == alpha


@pytest.mark.parametrize("rslora", [False, True])
def test_a_peft_folder_with_patterns(rslora: bool, tmp_path: Path) -> None:
    found = factors({layer: SHAPES[layer] for layer in LAYERS if layer.startswith("unet.")})
    tensors = named(
        found, {layer: layer.removeprefix("unet.") for layer in found}, (".lora_A.weight", ".lora_B.weight")
    )
    config = {"lora_alpha": 8, "alpha_pattern": {"resnets.0.conv1": 3}, "use_rslora": rslora}
    reader = read_layers(peft_folder(tmp_path / "p", tensors, base_model_name_or_path="some/base", **config))
    assert (reader.form, reader.base()) == ("peft-dir", "some/base")
    for layer, (down, up) in found.items():
        alpha, rank = (3 if layer.endswith("conv1") else 8), down.shape[0]
        read = reader.factors(layer)
        scale = alpha / (math.sqrt(rank) if rslora else rank)
        torch.testing.assert_close(read.up.flatten(1) @ read.down.flatten(1), delta(down, up, scale))
    # The weights' file alone is the same adapter: its neighbour holds the scale.
    assert read_layers(tmp_path / "p" / "adapter_model.safetensors").scale(f"unet.{CONV}") == reader.scale(
        f"unet.{CONV}"
    )


def test_peft_folders_of_one_pipeline(tmp_path: Path) -> None:
    layer = {"encoder.layers.0.mlp.fc1.lora_A.weight": torch.ones(2, 5)}
    layer["encoder.layers.0.mlp.fc1.lora_B.weight"] = torch.ones(8, 2)
    peft_folder(tmp_path / "text_encoder", layer, lora_alpha=2)
    peft_folder(tmp_path / "text_encoder_2", {f"text_model.{k}": v for k, v in layer.items()}, lora_alpha=6)
    reader = read_layers(tmp_path)
    scales = {name: reader.scale(name) for name in reader.names()}
    assert scales == {f"text_encoder.{FC1}": 1.0, f"text_encoder_2.{FC1}": 3.0}
    for one in ("text_encoder_2", "text_encoder_2/adapter_model.safetensors"):
        assert read_layers(tmp_path / one).names() == [f"text_encoder_2.{FC1}"]


def test_a_header_without_components_counts_for_all(tmp_path: Path) -> None:
    """As diffusers' `unet.save_lora_adapter` writes it."""
    tensors = {"mid_block.a.lora_A.weight": torch.ones(2, 5), "mid_block.a.lora_B.weight": torch.ones(8, 2)}
    header = {"lora_adapter_metadata": json.dumps({"r": 2, "lora_alpha": 8, "target_modules": ["a"]})}
    assert read_layers(write(tmp_path / "x.safetensors", tensors, **header)).scale("unet.mid_block.a") == 4.0


def test_integer_alphas_and_half_precision(tmp_path: Path) -> None:
    tensors = {
        f"lora_unet_{TO_Q.replace('.', '_')}.lora_down.weight": torch.ones(4, 5, dtype=torch.bfloat16),
        f"lora_unet_{TO_Q.replace('.', '_')}.lora_up.weight": torch.ones(6, 4, dtype=torch.float16),
        f"lora_unet_{TO_Q.replace('.', '_')}.alpha": torch.tensor(16),
    }
    read = read_layers(write(tmp_path / "x.safetensors", tensors)).factors(f"unet.{TO_Q}")
    assert read.up.dtype == read.down.dtype == torch.float32
    assert torch.equal(read.up, torch.full((6, 4), 4.0))


def _pair(name: str, ends: tuple[str, str] = A_B) -> dict[str, torch.Tensor]:
    return {name + ends[0]: torch.ones(2, 5), name + ends[1]: torch.ones(6, 2)}


KOHYA = f"lora_unet_{TO_Q.replace('.', '_')}"
BAD: dict[str, tuple[dict[str, torch.Tensor], str, str]] = {
    "mixed": (_pair("unet.a") | _pair("unet.b", DIFFUSERS), "mixes forms", "unet.b.lora.down"),
    "mixed with kohya": (_pair("unet.a") | _pair(KOHYA, DOWN_UP), "mixes forms", KOHYA),
    "twice": (
        _pair(KOHYA, DOWN_UP) | _pair("lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q", DOWN_UP),
        "are both",
        "input_blocks_4_1",
    ),
    "two adapters": (
        _pair("unet.a", (".lora_A.one.weight", ".lora_B.one.weight")) | {"unet.a.lora_A.two.weight": torch.ones(2, 5)},
        "are both",
        "unet.a.lora_A.two.weight",
    ),
    "alpha 0": (_pair(KOHYA, DOWN_UP) | {f"{KOHYA}.alpha": torch.tensor(0.0)}, "other than 0", f"{KOHYA}.alpha"),
    "alphas": (_pair(KOHYA, DOWN_UP) | {f"{KOHYA}.alpha": torch.ones(2)}, "one number", f"{KOHYA}.alpha"),
    "alpha alone": ({f"{KOHYA}.alpha": torch.tensor(1.0)}, "no down factor", TO_Q),
    "NaN": (_pair("unet.a") | {"unet.a.lora_B.weight": torch.full((6, 2), math.nan)}, "NaN", "unet.a.lora_B"),
    "shapes": (_pair(KOHYA, DOWN_UP) | {f"{KOHYA}.lora_up.weight": torch.ones(6, 3)}, "do not fit", TO_Q),
    "type": ({"unet.a.lora_A.weight": torch.ones(2, 5, dtype=torch.complex64)}, "type C64", "unet.a.lora_A"),
    "no config": (_pair("base_model.model.unet.a"), "adapter_config.json", "base_model.model.unet.a"),
    "LoHa": ({f"{KOHYA}.hada_w1_a": torch.ones(2, 2)}, "LoHa", f"{KOHYA}.hada_w1_a"),
    "LoKr": ({f"{KOHYA}.lokr_w2_b": torch.ones(2, 2)}, "LoKr", f"{KOHYA}.lokr_w2_b"),
    "DoRA": (_pair(KOHYA, DOWN_UP) | {f"{KOHYA}.dora_scale": torch.ones(2, 2)}, "DoRA", f"{KOHYA}.dora_scale"),
    "Tucker": (_pair(KOHYA, DOWN_UP) | {f"{KOHYA}.lora_mid.weight": torch.ones(2, 2)}, "core tensor", "lora_mid"),
    "difference": ({f"{KOHYA}.diff": torch.ones(2, 2)}, "full difference", f"{KOHYA}.diff"),
}  # fmt: skip


def _read_all(file: Path) -> None:
    reader = read_layers(file)
    for layer in reader.names():
        reader.factors(layer)


@pytest.mark.parametrize("case", BAD)
def test_refused_by_file_and_tensor(case: str, tmp_path: Path) -> None:
    tensors, what, name = BAD[case]
    file = write(tmp_path / "x.safetensors", tensors)
    with pytest.raises(ArtifactError, match=what) as caught:
        _read_all(file)
    assert str(file) in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("use_dora", True, "DoRA"),
        ("lora_bias", True, "bias"),
        ("bias", "all", "bias"),
        ("kasa_config", {"beta": 1}, "KaSA"),
        ("init_lora_weights", "pissa_niter_4", "base weights"),
        ("peft_type", "LOHA", "only LORA"),
    ],
)
def test_variants_in_a_peft_folder_are_refused(field: str, value: Any, what: str, tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "p", _pair("mid_block.a"), **{field: value})
    with pytest.raises(ArtifactError, match=what) as caught:
        read_layers(folder)
    assert str(folder / "adapter_config.json") in str(caught.value)


def test_a_scale_that_is_said_twice_is_refused(tmp_path: Path) -> None:
    tensors = _pair("unet.a") | {"unet.a.alpha": torch.tensor(4.0)}
    header = {"lora_adapter_metadata": json.dumps({"unet.r": 2, "unet.lora_alpha": 2})}
    with pytest.raises(ArtifactError, match="both give a scale"):
        read_layers(write(tmp_path / "x.safetensors", tensors, **header))


def test_pickled_weights_are_not_looked_at(tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "p", _pair("mid_block.a"))
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(ArtifactError, match="never loaded"):
        read_layers(folder)

"""The names of real layers: ours against diffusers' own conversion, for SD 1.5 and SDXL whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.utils.state_dict_utils import (
    convert_state_dict_to_diffusers,
    convert_state_dict_to_peft,
    convert_unet_state_dict_to_peft,
)

from selma_core.artifacts.lora_keys import parse_name
from selma_core.artifacts.lora_names import flat, is_unet, to_original, unet_path, unflat
from selma_core.errors import ArtifactError
from tests.interchange.samples import layers_of

CONFIGS: dict[str, dict[str, Any]] = {
    "sd15": {"block_out_channels": (320, 640, 1280, 1280), "cross_attention_dim": 768},
    "sdxl": {
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
ENDS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2")
TEXT = [f"text_model.encoder.layers.{index}.{end}" for index in (0, 11, 31) for end in ENDS]


@pytest.fixture(scope="module")
def unets() -> dict[str, UNet2DConditionModel]:
    """The real architectures, without memory for their weights."""
    with torch.device("meta"):
        return {name: UNet2DConditionModel(**config) for name, config in CONFIGS.items()}


@pytest.fixture(scope="module")
def paths(unets: dict[str, UNet2DConditionModel]) -> dict[str, list[str]]:
    return {name: list(layers_of(unet)) for name, unet in unets.items()}


def oracle(names: list[str], pipeline: Any, config: Any) -> dict[str, str]:
    """kohya name -> canonical layer by diffusers' converter: rank-1 layers that are numbered by their values."""
    tensors = {}
    for number, name in enumerate(names):
        tensors[f"{name}.lora_down.weight"] = torch.full((1, 1), float(number))
        tensors[f"{name}.lora_up.weight"] = torch.zeros(1, 1)
        tensors[f"{name}.alpha"] = torch.tensor(1.0)
    converted, _ = pipeline.lora_state_dict(tensors, unet_config=config)
    unet = {key: value for key, value in converted.items() if key.startswith("unet.")}
    text = {key: value for key, value in converted.items() if key not in unet}
    both = {
        **convert_unet_state_dict_to_peft(unet),
        **convert_state_dict_to_peft(convert_state_dict_to_diffusers(text)),
    }
    numbered = {key: int(value) for key, value in both.items() if ".lora_A." in key}
    return {
        names[number]: key.replace(".lora_A.weight", "").replace(".processor", "") for key, number in numbered.items()
    }


def test_every_layer_has_its_three_spellings(paths: dict[str, list[str]]) -> None:
    assert [len(paths["sd15"]), len(paths["sdxl"])] == [282, 794]
    for model, known in paths.items():
        originals = [to_original(path, attention_in_up_0=model == "sdxl") for path in known]
        assert len(set(originals)) == len(known)
        for path, original in zip(known, originals, strict=True):
            assert original is not None
            assert (is_unet(path), unet_path(path), unet_path(original)) == (True, path, path)
            assert (unflat(flat(path)), unflat(flat(original))) == (path, original)


# diffusers' own conversion fails for SD 1.5 in the original spelling (`input_blocks_1` begins `input_blocks_10`),
# and it loses the two layers of SDXL's add_embedding in the diffusers spelling.
@pytest.mark.parametrize(
    ("model", "original", "pipeline", "lost"),
    [
        ("sd15", False, StableDiffusionPipeline, set()),
        ("sdxl", True, StableDiffusionXLPipeline, set()),
        ("sdxl", False, StableDiffusionXLPipeline, {"unet.add_embedding.linear_1", "unet.add_embedding.linear_2"}),
    ],
)
def test_kohya_names_are_read_as_diffusers_reads_them(
    unets: dict[str, Any], paths: dict[str, list[str]], model: str, original: bool, pipeline: Any, lost: set[str]
) -> None:
    def spell(path: str) -> str:
        found = to_original(path, attention_in_up_0=True) if original else path
        assert found is not None
        return f"lora_unet_{flat(found)}"

    first = "lora_te1_" if model == "sdxl" else "lora_te_"
    names = {spell(path): f"unet.{path}" for path in paths[model]}
    names |= {first + flat(path): f"text_encoder.{path}" for path in TEXT}
    if model == "sdxl":
        names |= {f"lora_te2_{flat(path)}": f"text_encoder_2.{path}" for path in [*TEXT, "text_projection"]}
    ours = {name: parse_name(f"{name}.lora_down.weight", "f").layer for name in names}
    assert ours == names
    theirs = oracle(list(names), pipeline, unets[model].config)
    assert {layer for name, layer in ours.items() if theirs.get(name) != layer} == lost


@pytest.mark.parametrize(
    ("original", "path"),
    [
        ("input_blocks.0.0", "conv_in"),
        ("input_blocks.3.0.op", "down_blocks.0.downsamplers.0.conv"),
        ("input_blocks.4.0.in_layers.2", "down_blocks.1.resnets.0.conv1"),
        ("input_blocks.4.0.emb_layers.1", "down_blocks.1.resnets.0.time_emb_proj"),
        ("input_blocks.4.0.skip_connection", "down_blocks.1.resnets.0.conv_shortcut"),
        ("input_blocks.8.1.proj_in", "down_blocks.2.attentions.1.proj_in"),
        ("middle_block.0.out_layers.3", "mid_block.resnets.0.conv2"),
        ("middle_block.1.transformer_blocks.9.ff.net.2", "mid_block.attentions.0.transformer_blocks.9.ff.net.2"),
        ("middle_block.2.in_layers.2", "mid_block.resnets.1.conv1"),
        ("output_blocks.2.1.conv", "up_blocks.0.upsamplers.0.conv"),
        ("output_blocks.2.2.conv", "up_blocks.0.upsamplers.0.conv"),
        ("output_blocks.5.1.proj_out", "up_blocks.1.attentions.2.proj_out"),
        ("out.2", "conv_out"),
        ("time_embed.2", "time_embedding.linear_2"),
        ("label_emb.0.0", "add_embedding.linear_1"),
    ],
)
def test_known_pairs(original: str, path: str) -> None:
    assert unet_path(original) == path
    assert unet_path(unflat(flat(original))) == path


@pytest.mark.parametrize(
    "name",
    [
        "lora_unet_input_blocks_3_0_in_layers_2.lora_down.weight",  # a downsampler's place
        "lora_unet_input_blocks_0_1_proj_in.lora_down.weight",
        "lora_unet_middle_block_3_in_layers_2.lora_down.weight",
        "lora_unet_output_blocks_3_1_conv.lora_down.weight",  # not the last of its block
        "lora_unet_down_blocks_0_attentions_0_to_x.lora_down.weight",
        "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight",  # Flux
        "lora_te3_encoder_block_0_layer_0_SelfAttention_q.lora_down.weight",
        "lora_te_text_model_encoder_layers_0_mlp_fc3.alpha",
        "diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight",
        "text_encoders.t5xxl.transformer.encoder.block.0.lora_A.weight",
        "unet.conv_in.lora_down.weight",
        "unet.conv_in",
    ],
)
def test_unknown_names_are_refused_by_name(name: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        parse_name(name, "file.safetensors")
    message = str(caught.value)
    assert message.startswith("file.safetensors: ")
    assert name.removesuffix(".lora_down.weight").removesuffix(".lora_A.weight") in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.up.weight", "self_attn.q_proj"),
        ("text_encoder.text_model.encoder.layers.0.self_attn.to_out_lora.up.weight", "self_attn.out_proj"),
        ("text_encoder.encoder.layers.0.mlp.fc1.lora_B.weight", "mlp.fc1"),  # since transformers 5.6
        ("base_model.model.text_model.encoder.layers.0.mlp.fc1.lora_B.weight", "mlp.fc1"),
        ("text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc2.lora_up.weight", "mlp.fc2"),
        ("text_encoders.clip_h.transformer.text_model.encoder.layers.0.mlp.fc2.lora_B.weight", "mlp.fc2"),
    ],
)
def test_text_encoders_have_one_spelling(name: str, layer: str) -> None:
    assert parse_name(name, "f").layer == f"text_encoder.text_model.encoder.layers.0.{layer}"


def test_a_checkpoints_prefix_is_dropped() -> None:
    names = ("model.diffusion_model.out.2.lora_A.weight", "diffusion_model.out.2.lora_down.weight")
    assert {parse_name(name, "f").layer for name in names} == {"unet.conv_out"}

"""open_clip's CLIP state dict -> transformers' `CLIPModel`, so that neither open_clip nor torchvision is needed.

For ViT models with the standard text tower and exact GELU (open_clip's ViT-H-14, which HPSv2 is trained from).
"""

from __future__ import annotations

import re
from typing import Any

import torch
from transformers import CLIPConfig, CLIPModel

from selma_core.errors import ModelError
from selma_plugins.preference.weights import Tensors, check_keys

MARK = "visual.conv1.weight"
"""A key that every such state dict has."""

# Heads are the one thing that shapes do not tell: ViT-B, L, H, g, bigG.
_VISION_HEADS = {768: 12, 1024: 16, 1280: 16, 1408: 16, 1664: 16}
_PLAIN = {
    "logit_scale": "logit_scale",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
}
_TRANSPOSED = {"text_projection": "text_projection.weight", "visual.proj": "visual_projection.weight"}
_MODULES = {
    "ln_final": "text_model.final_layer_norm",
    "visual.ln_pre": "vision_model.pre_layrnorm",
    "visual.ln_post": "vision_model.post_layernorm",
}
_LAYER = re.compile(r"^(visual\.)?transformer\.resblocks\.(\d+)\.(.+)$")
_IN_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_IGNORED = {"attn_mask"}  # a constant that old versions stored


def build(tensors: Tensors, title: str) -> CLIPModel:
    """The model that a state dict describes.

    Raises:
        ModelError: it is of another architecture.
    """
    if MARK not in tensors:
        raise ModelError(f"{title}: is no open_clip ViT checkpoint: it has no {MARK}")
    with torch.device("meta"):
        model = CLIPModel(_config(tensors, title))
    model = model.to_empty(device="cpu")
    check_keys(model, _renamed(tensors, title), title)
    for tower in (model.text_model, model.vision_model):  # constants that no checkpoint holds
        ids = tower.embeddings.position_ids
        ids.copy_(torch.arange(ids.shape[-1]).expand_as(ids))
    return model


def _renamed(tensors: Tensors, title: str) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for key, value in tensors.items():
        module, _, name = key.rpartition(".")
        layer = _LAYER.match(key)
        if key in _PLAIN:
            found[_PLAIN[key]] = value
        elif key in _TRANSPOSED:
            found[_TRANSPOSED[key]] = value.T
        elif module in _MODULES:
            found[f"{_MODULES[module]}.{name}"] = value
        elif layer is not None:
            tower = "vision_model" if layer[1] else "text_model"
            found |= _in_layer(f"{tower}.encoder.layers.{layer[2]}", layer[3], value)
        elif key not in _IGNORED:
            raise ModelError(f"{title}: has an unknown tensor {key}")
    return found


def _in_layer(prefix: str, key: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
    if key.startswith("attn.in_proj_"):
        name = key.removeprefix("attn.in_proj_")
        parts = zip("qkv", value.chunk(3), strict=True)
        return {f"{prefix}.self_attn.{letter}_proj.{name}": part for letter, part in parts}
    module, _, name = key.rpartition(".")
    return {f"{prefix}.{_IN_LAYER.get(module, module)}.{name}": value}


def _config(tensors: Tensors, title: str) -> CLIPConfig:
    try:
        words, places = tensors["token_embedding.weight"], tensors["positional_embedding"]
        patches, image_places = tensors[MARK], tensors["visual.positional_embedding"]
        text: dict[str, Any] = {
            "vocab_size": words.shape[0],
            "hidden_size": words.shape[1],
            "max_position_embeddings": places.shape[0],
            "intermediate_size": tensors["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
            "num_attention_heads": max(words.shape[1] // 64, 1),
            "eos_token_id": 2,  # read as: the end of a text is its highest token id, as open_clip has it
        }
        width, patch = patches.shape[0], patches.shape[2]
        vision: dict[str, Any] = {
            "hidden_size": width,
            "patch_size": patch,
            "image_size": patch * round((image_places.shape[0] - 1) ** 0.5),
            "intermediate_size": tensors["visual.transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
            "num_attention_heads": _VISION_HEADS.get(width, max(width // 64, 1)),
        }
        dim = tensors["text_projection"].shape[1]
    except KeyError as error:
        raise ModelError(f"{title}: the checkpoint lacks {error.args[0]}") from None
    shared = {"hidden_act": "gelu", "projection_dim": dim}
    text |= shared | {"num_hidden_layers": _depth(tensors, "transformer.")}
    vision |= shared | {"num_hidden_layers": _depth(tensors, "visual.transformer.")}
    return CLIPConfig(text_config=text, vision_config=vision, projection_dim=dim)


def _depth(tensors: Tensors, prefix: str) -> int:
    found = [re.match(rf"^{re.escape(prefix)}resblocks\.(\d+)\.", key) for key in tensors]
    return 1 + max(int(match[1]) for match in found if match)

"""ImageReward's network from transformers' BLIP classes, its state dict renamed key by key.

Source: THUDM/ImageReward, `ImageReward.py` and `models/BLIP`: a ViT-L/16, a BERT that attends to its patches, and five
linear layers on the first token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers import BlipTextConfig, BlipVisionConfig, BlipVisionModel
from transformers.models.blip.modeling_blip_text import BlipTextModel

from selma_core.data import Entry
from selma_core.errors import ModelError
from selma_core.protocols import Context
from selma_plugins.preference.weights import Tensors, check_keys, read_tensors, shared

_VISION, _TEXT, _HEAD = "blip.visual_encoder.", "blip.text_encoder.", "mlp.layers."
# Projections of BLIP's contrastive loss, which the reward does not use.
_UNUSED = ("blip.vision_proj.", "blip.text_proj.")
# A constant that checkpoints of then stored.
_CONSTANT = "embeddings.position_ids"
_RENAMED = (
    (re.compile(r"^cls_token$"), "embeddings.class_embedding"),
    (re.compile(r"^pos_embed$"), "embeddings.position_embedding"),
    (re.compile(r"^patch_embed\.proj\."), "embeddings.patch_embedding."),
    (re.compile(r"^norm\."), "post_layernorm."),
    (re.compile(r"^blocks\.(\d+)\.norm([12])\."), r"encoder.layers.\1.layer_norm\2."),
    (re.compile(r"^blocks\.(\d+)\.attn\.qkv\."), r"encoder.layers.\1.self_attn.qkv."),
    (re.compile(r"^blocks\.(\d+)\.attn\.proj\."), r"encoder.layers.\1.self_attn.projection."),
    (re.compile(r"^blocks\.(\d+)\.mlp\."), r"encoder.layers.\1.mlp."),
)


class RewardBlip(nn.Module):
    """Attributes: vision = the ViT; text = the BERT with cross-attention; head = linear layers without activations."""

    def __init__(self, vision: BlipVisionConfig, text: BlipTextConfig, sizes: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.vision = BlipVisionModel(vision)
        self.text = BlipTextModel(text, add_pooling_layer=False)
        self.head = nn.Sequential(*(nn.Linear(inner, outer) for inner, outer in sizes))

    def forward(self, patches: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """patches [B, P, width] of `vision`, ids and mask [B, L] -> the head's value [B]."""
        seen = torch.ones(patches.shape[:-1], dtype=torch.long, device=patches.device)
        read = self.text(
            input_ids=ids,
            attention_mask=mask,
            encoder_hidden_states=patches,
            encoder_attention_mask=seen,
            is_decoder=False,
        )
        # The first token stays [CLS]: the authors do not swap it for [ENC] here.
        value: torch.Tensor = self.head(read.last_hidden_state[:, 0]).squeeze(-1)
        return value


def load_blip(context: Context, entry: Entry) -> Any:
    """The shared network of an entry.

    Raises:
        ModelError: the entry holds no ImageReward checkpoint.
    """
    return shared(context, "ImageReward", entry, lambda: build(read_tensors(entry), str(entry.path)))


def build(tensors: Tensors, title: str) -> RewardBlip:
    """The network that ImageReward's state dict describes.

    Raises:
        ModelError: a tensor is missing or unknown.
    """
    parts: dict[str, dict[str, torch.Tensor]] = {_VISION: {}, _TEXT: {}, _HEAD: {}}
    for key, value in tensors.items():
        prefix = next((name for name in parts if key.startswith(name)), None)
        if prefix is not None:
            parts[prefix][key.removeprefix(prefix)] = value
        elif not key.startswith(_UNUSED):
            raise ModelError(f"{title}: is no ImageReward checkpoint: it has a tensor {key}")
    vision = {_renamed(key): value for key, value in parts[_VISION].items()}
    text = {key: value for key, value in parts[_TEXT].items() if key != _CONSTANT}
    try:
        head = _numbered(parts[_HEAD])
        sizes = [(w.shape[1], w.shape[0]) for key, w in head.items() if key.endswith(".weight")]
        model = RewardBlip(_vision_config(vision), _text_config(text), sizes)
    except (KeyError, IndexError) as error:
        raise ModelError(f"{title}: is no ImageReward checkpoint: it lacks {error.args[0]}") from None
    for module, state in ((model.vision, vision), (model.text, text), (model.head, head)):
        check_keys(module, state, title)
    return model


def _renamed(key: str) -> str:
    for pattern, replacement in _RENAMED:
        if pattern.match(key):
            return pattern.sub(replacement, key)
    return key


def _numbered(head: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`{0,2,4,6,7}.*` (dropout stands between) -> `{0,1,2,3,4}.*`."""
    places = sorted({int(key.partition(".")[0]) for key in head})
    if not places:
        raise KeyError(f"{_HEAD}*")
    return {f"{i}.{kind}": head[f"{place}.{kind}"] for i, place in enumerate(places) for kind in ("weight", "bias")}


def _vision_config(state: Tensors) -> BlipVisionConfig:
    patches, places = state["embeddings.patch_embedding.weight"], state["embeddings.position_embedding"]
    width, patch = patches.shape[0], patches.shape[-1]
    return BlipVisionConfig(
        hidden_size=width,
        intermediate_size=state["encoder.layers.0.mlp.fc1.weight"].shape[0],
        num_hidden_layers=_depth(state, "encoder.layers."),
        num_attention_heads=max(width // 64, 1),
        image_size=patch * round((places.shape[1] - 1) ** 0.5),
        patch_size=patch,
        hidden_act="gelu",
        layer_norm_eps=1e-6,
    )


def _text_config(state: Tensors) -> BlipTextConfig:
    words = state["embeddings.word_embeddings.weight"]
    return BlipTextConfig(
        vocab_size=words.shape[0],
        hidden_size=words.shape[1],
        intermediate_size=state["encoder.layer.0.intermediate.dense.weight"].shape[0],
        num_hidden_layers=_depth(state, "encoder.layer."),
        num_attention_heads=max(words.shape[1] // 64, 1),
        max_position_embeddings=state["embeddings.position_embeddings.weight"].shape[0],
        encoder_hidden_size=state["encoder.layer.0.crossattention.self.key.weight"].shape[1],
        hidden_act="gelu",
        layer_norm_eps=1e-12,
        is_decoder=True,  # gives the layers their cross-attention; the mask stays that of an encoder
    )


def _depth(state: Tensors, prefix: str) -> int:
    return 1 + max(int(key.removeprefix(prefix).partition(".")[0]) for key in state if key.startswith(prefix))

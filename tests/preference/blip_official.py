"""ImageReward's network stated a second time, from its description, on plain tensors under the checkpoint's own names.

BLIP's ViT (pre-norm blocks, one qkv matrix, exact GELU, eps 1e-6), BERT with cross-attention after self-attention
(post-norm, eps 1e-12), and linear layers on the first token. It shares no code with the evaluator.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.functional import conv2d, gelu, layer_norm, linear, softmax

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *[chr(code) for code in range(97, 123)],
         *["##" + chr(code) for code in range(97, 123)]]  # fmt: skip
VISION, TEXT, PATCH, GRID, LAYERS, HEADS = 128, 64, 8, 4, 2, {"vision": 2, "text": 1}
PLACES = 40
State = dict[str, torch.Tensor]


def save_checkpoint(folder: Path) -> None:
    """`ImageReward.safetensors` and `tokenizer/` (without BLIP's own two tokens, as BERT's is)."""
    save_file(state_dict(), folder / "ImageReward.safetensors")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.txt").write_text("\n".join(WORDS) + "\n")


def state_dict(seed: int = 3) -> State:
    """Random weights under every name that the real checkpoint has."""
    draw = torch.Generator().manual_seed(seed)
    found: State = {}

    def add(name: str, *shape: int, around: float = 0.0) -> None:
        found[name] = around + torch.randn(*shape, generator=draw) * 0.15

    def dense(name: str, inner: int, outer: int) -> None:
        add(f"{name}.weight", outer, inner)
        add(f"{name}.bias", outer)

    def norm(name: str, width: int) -> None:
        add(f"{name}.weight", width, around=1.0)
        add(f"{name}.bias", width)

    eye, text = "blip.visual_encoder.", "blip.text_encoder."
    add(f"{eye}cls_token", 1, 1, VISION)
    add(f"{eye}pos_embed", 1, GRID * GRID + 1, VISION)
    add(f"{eye}patch_embed.proj.weight", VISION, 3, PATCH, PATCH)
    add(f"{eye}patch_embed.proj.bias", VISION)
    norm(f"{eye}norm", VISION)
    for n in range(LAYERS):
        block = f"{eye}blocks.{n}."
        norm(f"{block}norm1", VISION)
        norm(f"{block}norm2", VISION)
        dense(f"{block}attn.qkv", VISION, 3 * VISION)
        dense(f"{block}attn.proj", VISION, VISION)
        dense(f"{block}mlp.fc1", VISION, 2 * VISION)
        dense(f"{block}mlp.fc2", 2 * VISION, VISION)
    found[f"{text}embeddings.position_ids"] = torch.arange(PLACES)[None]
    add(f"{text}embeddings.word_embeddings.weight", len(WORDS) + 2, TEXT)
    add(f"{text}embeddings.position_embeddings.weight", PLACES, TEXT)
    norm(f"{text}embeddings.LayerNorm", TEXT)
    for n in range(LAYERS):
        layer = f"{text}encoder.layer.{n}."
        for kind, width in (("attention", TEXT), ("crossattention", VISION)):
            dense(f"{layer}{kind}.self.query", TEXT, TEXT)
            dense(f"{layer}{kind}.self.key", width, TEXT)
            dense(f"{layer}{kind}.self.value", width, TEXT)
            dense(f"{layer}{kind}.output.dense", TEXT, TEXT)
            norm(f"{layer}{kind}.output.LayerNorm", TEXT)
        dense(f"{layer}intermediate.dense", TEXT, 2 * TEXT)
        dense(f"{layer}output.dense", 2 * TEXT, TEXT)
        norm(f"{layer}output.LayerNorm", TEXT)
    dense("blip.vision_proj", VISION, 16)
    dense("blip.text_proj", TEXT, 16)
    for place, (inner, outer) in zip((0, 2, 4, 6, 7), ((TEXT, 32), (32, 16), (16, 8), (8, 4), (4, 1)), strict=True):
        dense(f"mlp.layers.{place}", inner, outer)
    return found


def reward(state: State, pixels: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """pixels [B, 3, 32, 32], ids and mask [B, L] -> standardised rewards [B]."""
    hidden = _read(state, ids, mask, _see(state, pixels))[:, 0]
    for place in (0, 2, 4, 6, 7):
        hidden = _linear(state, f"mlp.layers.{place}", hidden)
    return (hidden[:, 0] - 0.16717362830052426) / 1.0333394966054072


def _see(state: State, pixels: torch.Tensor) -> torch.Tensor:
    eye = "blip.visual_encoder."
    x = conv2d(pixels, state[f"{eye}patch_embed.proj.weight"], state[f"{eye}patch_embed.proj.bias"], stride=PATCH)
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([state[f"{eye}cls_token"].expand(len(x), -1, -1), x], 1) + state[f"{eye}pos_embed"]
    for n in range(LAYERS):
        block = f"{eye}blocks.{n}."
        q, k, v = _linear(state, f"{block}attn.qkv", _norm(state, f"{block}norm1", x, 1e-6)).chunk(3, -1)
        x = x + _linear(state, f"{block}attn.proj", _attend(q, k, v, HEADS["vision"]))
        inner = gelu(_linear(state, f"{block}mlp.fc1", _norm(state, f"{block}norm2", x, 1e-6)))
        x = x + _linear(state, f"{block}mlp.fc2", inner)
    return _norm(state, f"{eye}norm", x, 1e-6)


def _read(state: State, ids: torch.Tensor, mask: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    text = "blip.text_encoder."
    x = state[f"{text}embeddings.word_embeddings.weight"][ids]
    x = x + state[f"{text}embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = _norm(state, f"{text}embeddings.LayerNorm", x, 1e-12)
    hidden = (1.0 - mask[:, None, None, :].float()) * -10000.0
    for n in range(LAYERS):
        layer = f"{text}encoder.layer.{n}."
        x = _cross(state, f"{layer}attention", x, x, hidden)
        x = _cross(state, f"{layer}crossattention", x, seen, torch.zeros(()))
        inner = _linear(state, f"{layer}output.dense", gelu(_linear(state, f"{layer}intermediate.dense", x)))
        x = _norm(state, f"{layer}output.LayerNorm", inner + x, 1e-12)
    return x


def _cross(state: State, name: str, x: torch.Tensor, other: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    q = _linear(state, f"{name}.self.query", x)
    k, v = (_linear(state, f"{name}.self.{part}", other) for part in ("key", "value"))
    out = _linear(state, f"{name}.output.dense", _attend(q, k, v, HEADS["text"], hidden))
    return _norm(state, f"{name}.output.LayerNorm", out + x, 1e-12)


def _attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, hidden: torch.Tensor | float = 0.0
) -> torch.Tensor:
    def split(x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)

    scores = split(q) @ split(k).transpose(-2, -1) / math.sqrt(q.shape[-1] // heads) + hidden
    return (softmax(scores, -1) @ split(v)).transpose(1, 2).flatten(2)


def _linear(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    return linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def _norm(state: State, name: str, x: torch.Tensor, eps: float) -> torch.Tensor:
    return layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)

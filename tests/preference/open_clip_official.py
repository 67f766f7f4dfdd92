"""open_clip's CLIP stated a second time on torch's own modules, with open_clip's names. No transformers in it.

Pre-norm blocks around `nn.MultiheadAttention`, exact GELU; the image is the class token after `ln_post`, times `proj`;
the text is the highest token's place after `ln_final`, times `text_projection`.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn.functional import normalize


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        inner = OrderedDict(c_fc=nn.Linear(width, 3 * width), gelu=nn.GELU(), c_proj=nn.Linear(3 * width, width))
        self.mlp = nn.Sequential(inner)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, heads) for _ in range(layers))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        for block in self.resblocks:
            x = block(x, mask)
        return x


class Visual(nn.Module):
    def __init__(self, width: int, heads: int, layers: int, patch: int, side: int, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width))
        self.positional_embedding = nn.Parameter(torch.randn((side // patch) ** 2 + 1, width) * 0.3)
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = Transformer(width, heads, layers)
        self.proj = nn.Parameter(torch.randn(width, dim) * width**-0.5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.conv1(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], 1) + self.positional_embedding
        x = self.transformer(self.ln_pre(x))
        return self.ln_post(x[:, 0]) @ self.proj


class OpenClip(nn.Module):
    def __init__(
        self, words: int, length: int, side: int, *, vision: int = 128, text: int = 128, dim: int = 24
    ) -> None:
        super().__init__()
        # The heads are what open_clip's own configurations give these widths: 64 wide each.
        self.visual = Visual(vision, vision // 64, 3, 8, side, dim)
        self.transformer = Transformer(text, text // 64, 2)
        self.token_embedding = nn.Embedding(words, text)
        self.positional_embedding = nn.Parameter(torch.randn(length, text) * 0.3)
        self.ln_final = nn.LayerNorm(text)
        self.text_projection = nn.Parameter(torch.randn(text, dim) * text**-0.5)
        self.logit_scale = nn.Parameter(torch.tensor(4.6052))
        for weight in self.parameters():  # biases and norms that are not 0 and 1, so that a lost one shows
            if weight.ndim == 1:
                nn.init.normal_(weight, float(weight.mean() > 0.5), 0.2)

    def encode_text(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.token_embedding(ids) + self.positional_embedding
        mask = torch.full((ids.shape[1], ids.shape[1]), float("-inf")).triu(1)
        x = self.ln_final(self.transformer(x, mask))
        return x[torch.arange(len(x)), ids.argmax(-1)] @ self.text_projection

    def forward(self, image: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """L2-normalised image and text features."""
        return normalize(self.visual(image), dim=-1), normalize(self.encode_text(ids), dim=-1)

"""The adapter that makes T5's rows rows of CLIP's width.

    y = G2(LN(G1(LN(x))))      G(x) = W (v * gelu(g)) + b,   (v, g) = the halves of W' x + b',   no residual

with a dropout of 0.1 before W and an inner width of four times the input's. Source: LongAlign, arXiv 2410.11817; sizes
of LaVi-Bridge, whose adapter it is (T5-large 1024, hidden 896, CLIP-L 768: 21,254,528 parameters).
"""

from __future__ import annotations

import attrs
import torch
from torch import Tensor, nn

from selma_core.seeds import derive_seed

WIDER = 4
DROPOUT = 0.1


@attrs.frozen(kw_only=True)
class Widths:
    """Sizes of an adapter. Attributes: t5 = of what goes in; hidden = between its halves; clip = of what comes out."""

    t5: int
    hidden: int
    clip: int


class Gated(nn.Module):
    """A feed-forward layer with a gate, [..., width] -> [..., out]."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.widen = nn.Linear(width, 2 * WIDER * width)
        self.dropout = nn.Dropout(DROPOUT)
        self.narrow = nn.Linear(WIDER * width, out)

    def forward(self, x: Tensor) -> Tensor:
        """Rows of another width."""
        value, gate = self.widen(x).chunk(2, dim=-1)
        found: Tensor = self.narrow(self.dropout(value * nn.functional.gelu(gate)))
        return found


class TextAdapter(nn.Module):
    """The adapter; each row by itself, [B, L, t5] -> [B, L, clip]."""

    def __init__(self, widths: Widths) -> None:
        """Builds it with fresh weights from torch's own random state."""
        super().__init__()
        self.norm1, self.gated1 = nn.LayerNorm(widths.t5), Gated(widths.t5, widths.hidden)
        self.norm2, self.gated2 = nn.LayerNorm(widths.hidden), Gated(widths.hidden, widths.clip)

    def forward(self, x: Tensor) -> Tensor:
        """Adapted rows."""
        found: Tensor = self.gated2(self.norm2(self.gated1(self.norm1(x))))
        return found


def fresh(seed: int, widths: Widths) -> TextAdapter:
    """An adapter whose weights depend on the seed only; in evaluation mode, so that dropout is off."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("text-adapter", seed))
        return TextAdapter(widths).eval()

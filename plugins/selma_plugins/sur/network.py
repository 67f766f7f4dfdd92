"""The adapter network: text embedding in, text embedding out.

    t = Transformer(x)                       depth layers, post-norm, ReLU, feed-forward 2048
    w = softmax((Wq t)(Wk x)^T / sqrt(d)) x + x
    l = fc(MLP(w) + w)                       fc starts at zero
    out = x + eta l   (additive)   or   eta l + (1 - eta) x   (convex, as released)

Source: arXiv 2305.05189, section 3; sizes of the released code (Qrange-group/SUR-adapter, `SUR_adapter.py`).
Unlike there, attention runs over the tokens of a prompt and not over the prompts of a batch, the bias of `fc` starts at
zero, and layers that are never used are not made; `legacy=True` brings the first two back.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from selma_core.errors import UserError

FEED_FORWARD = 2048
DROPOUT = 0.1


class Adapted(NamedTuple):
    """What the adapter gives, all [B, L, d].

    Attributes: out = the new embedding. inner = the transformer's output t, which the language model teaches.
        delta = l, what is added to the embedding, times eta.
    """

    out: Tensor
    inner: Tensor
    delta: Tensor


class SurNetwork(nn.Module):
    """The adapter; of `width` d, `depth` transformer layers with `heads` heads."""

    def __init__(
        self,
        width: int,
        *,
        depth: int = 2,
        heads: int = 8,
        eta: float = 0.1,
        residual: Literal["additive", "convex"] = "additive",
        legacy: bool = False,
    ) -> None:
        """Builds it with fresh weights from torch's own random state.

        Args:
            width: d, of the text embedding. eta: how much of the adapter there is; a constant, never learnt.
            residual: additive starts as the identity; convex as (1 - eta) x.
            legacy: attention over the batch, and a bias of `fc` that does not start at zero, as released.

        Raises:
            UserError: when the heads do not divide the width.
        """
        super().__init__()
        if width % heads:
            raise UserError(f"heads: {heads} does not divide the text encoder's width {width}; pick a divisor")
        self.eta, self.residual, self.legacy = eta, residual, legacy
        layers = [
            nn.TransformerEncoderLayer(width, heads, FEED_FORWARD, DROPOUT, batch_first=not legacy)
            for _ in range(depth)
        ]
        self.layers = nn.ModuleList(layers)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.fc = nn.Linear(width, width)
        nn.init.zeros_(self.fc.weight)
        if not legacy:
            nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Adapted:
        """Adapts embeddings [B, L, d].

        Args:
            x: of the frozen text encoder. mask: [B, L] bool, True = a token of the prompt; rows of padding are then
                neither looked at nor changed. None = padding is adapted like words, as in the paper.
        """
        padding = None if mask is None else ~mask
        inner = x
        for layer in self.layers:
            inner = layer(inner, src_key_padding_mask=None if self.legacy else padding)
        scores = self.query(inner) @ self.key(x).transpose(-2, -1) / math.sqrt(x.shape[-1])
        if padding is not None:
            scores = scores.masked_fill(padding[:, None, :], -torch.inf)
        seen = torch.softmax(scores, dim=-1) @ x + x
        delta = self.fc(self.mlp(seen) + seen)
        out = self._joined(x, delta)
        if mask is not None:
            out = torch.where(mask[..., None], out, x)
        return Adapted(out, inner, delta)

    def _joined(self, x: Tensor, delta: Tensor) -> Tensor:
        if self.residual == "convex":
            return self.eta * delta + (1 - self.eta) * x
        return x + self.eta * delta


def fresh(seed: int, width: int, **settings: object) -> SurNetwork:
    """A network whose weights depend on the seed only; in evaluation mode, so that dropout is off."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SurNetwork(width, **settings).eval()  # type: ignore[arg-type]

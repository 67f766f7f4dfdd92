"""Sampling from a language model with one random stream per request."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import torch
from torch import Tensor


@attrs.define
class Row:
    """One request while it is written.

    Attributes:
        prompt: token ids. limit: most new tokens. temperature: 0 is greedy. generator: its own random stream.
        stops: whether a reply of these tokens has come to a stop text; None when there is none.
        tokens: the new ones so far. done: it ended by itself. top: (token id, log-probability) of the first step.
    """

    prompt: list[int]
    limit: int
    temperature: float
    generator: torch.Generator
    stops: Callable[[list[int]], bool] | None = None
    tokens: list[int] = attrs.field(factory=list)
    done: bool = False
    top: list[tuple[int, float]] = attrs.field(factory=list)

    @property
    def open(self) -> bool:
        """Whether more tokens are wanted."""
        return not self.done and len(self.tokens) < self.limit


@attrs.frozen(kw_only=True)
class Sampler:
    """How to draw a token. Attributes: top_p, top_k as usual, 1 and 0 are off; ends = ids that end a reply."""

    top_p: float
    top_k: int
    ends: frozenset[int]

    def draw(self, logits: Tensor, row: Row) -> int:
        """One token id from logits [V] (float32 on the CPU)."""
        if row.temperature <= 0:
            return int(logits.argmax())
        chances = torch.softmax(logits.double() / row.temperature, dim=-1)
        ordered, ids = chances.sort(descending=True, stable=True)
        if self.top_k:
            ordered = ordered[: self.top_k]
        total = ordered.cumsum(0)
        if self.top_p < 1:
            keep = int((total < self.top_p * total[-1]).sum()) + 1
            total = total[:keep]
        point = torch.rand((), generator=row.generator, dtype=torch.float64) * total[-1]
        return int(ids[min(int(torch.searchsorted(total, point, right=True)), len(total) - 1)])


def pad_left(prompts: Sequence[Sequence[int]], pad: int, device: str) -> tuple[Tensor, Tensor]:
    """Token ids [B, L] padded on the left, and the mask [B, L] (1 = real token)."""
    length = max(len(prompt) for prompt in prompts)
    ids = [[pad] * (length - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (length - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


@torch.inference_mode()
def write(model: torch.nn.Module, rows: Sequence[Row], sampler: Sampler, pad: int, device: str, top: int = 0) -> None:
    """Fills `tokens` (and `top`) of all rows, together in one batch with a key-value cache.

    A row's draws depend on its own stream and its own logits. The batch changes logits by float rounding only.
    """
    ids, mask = pad_left([row.prompt for row in rows], pad, device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = None
    while any(row.open for row in rows):
        out = model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True)
        cache, logits = out.past_key_values, out.logits[:, -1].float().cpu()
        step = [_advance(row, logits[i], sampler, top) for i, row in enumerate(rows)]
        ids = torch.tensor([[pad if token is None else token] for token in step], device=device)
        mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
        positions = positions[:, -1:] + 1


def _advance(row: Row, logits: Tensor, sampler: Sampler, top: int) -> int | None:
    if not row.open:
        return None
    if top and not row.top and not row.tokens:
        values, ids = torch.log_softmax(logits, dim=-1).topk(min(top, len(logits)))
        row.top = list(zip(ids.tolist(), values.tolist(), strict=True))
    token = sampler.draw(logits, row)
    if token in sampler.ends:
        row.done = True
        return None
    row.tokens.append(token)
    row.done = row.stops is not None and row.stops(row.tokens)
    return token

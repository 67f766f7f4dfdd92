"""The CLIP text encoders of SD 1.x, SD 2 and SDXL pipelines, run on token ids that the caller lays out.

What counts as padding is known by its place, never by its id: SDXL's second tokenizer pads with a word (`!`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from selma_core.errors import UserError
from selma_core.protocols import Embeddings

# At once through an encoder; a fixed number, so that memory does not grow with the prompt.
_AT_ONCE = 32


@attrs.frozen(kw_only=True)
class Tower:
    """One tokenizer with its encoder.

    Attributes: limit = tokens that it reads at once, marks included; penultimate = take `hidden_states[-2]`, as SDXL
    does, instead of the last state behind the final norm.
    """

    tokenizer: Any
    encoder: Any
    limit: int
    penultimate: bool

    def words(self, text: str) -> list[int]:
        """The ids of a text, uncut, without marks."""
        return list(self.tokenizer(text, truncation=False, verbose=False)["input_ids"])[1:-1]

    def marked(self, words: Sequence[int]) -> list[int]:
        """Start mark, the words that fit, end mark."""
        return [self.tokenizer.bos_token_id, *words[: self.limit - 2], self.tokenizer.eos_token_id]

    @torch.no_grad()
    def run(self, ids: Sequence[Sequence[int]], width: int) -> tuple[Tensor, Tensor | None]:
        """States [n, width, D] and pooled [n, P] (None where the encoder projects none) of `ids`, padded to `width`."""
        padded = [[*one, *[self.tokenizer.pad_token_id] * (width - len(one))] for one in ids]
        device = self.encoder.device
        outs = [
            self.encoder(torch.tensor(padded[start : start + _AT_ONCE], device=device), output_hidden_states=True)
            for start in range(0, len(padded), _AT_ONCE)
        ]
        pooled = [_projected(out) for out in outs]
        kept = [one for one in pooled if one is not None]
        return torch.cat([self._states(out) for out in outs]), torch.cat(kept) if kept else None

    def _states(self, out: Any) -> Tensor:
        states: Tensor = out.hidden_states[-2] if self.penultimate else out.last_hidden_state
        return states


@attrs.frozen(kw_only=True)
class Rows:
    """What one tower makes of one prompt. Attributes: hidden [L, D]; pooled [P] or None."""

    hidden: Tensor
    pooled: Tensor | None = None


def towers(pipeline: Any, max_tokens: int | None) -> list[Tower]:
    """The pipeline's CLIP encoders, in order.

    Raises:
        UserError: it has others, or `max_tokens` is more than they read.
    """
    double = getattr(pipeline, "text_encoder_2", None) is not None
    pairs: list[tuple[Any, Any]] = [
        (getattr(pipeline, f"tokenizer{end}", None), encoder)
        for end in ("", "_2", "_3")
        if (encoder := getattr(pipeline, f"text_encoder{end}", None)) is not None
    ]
    fits = pairs and hasattr(pipeline, "unet") and len(pairs) <= 2
    if not fits or any(not _is_clip(encoder) or tokenizer is None for tokenizer, encoder in pairs):
        raise UserError(
            f"this text encoder needs the CLIP encoders of SD 1.x, SD 2 or SDXL; {type(pipeline).__name__} has others: "
            "use text encoder clip without max_tokens"
        )
    limit = min(int(tokenizer.model_max_length) for tokenizer, _ in pairs)
    if max_tokens is not None and max_tokens > limit:
        raise UserError(f"max_tokens: {max_tokens} is more than the {limit} that the model's text encoder reads")
    return [
        Tower(tokenizer=tokenizer, encoder=encoder, limit=max_tokens or limit, penultimate=double)
        for tokenizer, encoder in pairs
    ]


def joined(found: Sequence[Tower], prompts: Sequence[str], rows: Callable[[Tower, str], Rows]) -> Embeddings:
    """hidden [B, L, sum of D] of all towers side by side, pooled [B, P] of the last one; no mask, since these
    pipelines attend to padding.

    Raises:
        UserError: the towers lay out a prompt in different lengths.
    """
    hidden, pooled = [], []
    for prompt in prompts:
        parts = [rows(tower, prompt) for tower in found]
        if len({len(part.hidden) for part in parts}) > 1:
            raise UserError(f"the pipeline's tokenizers cut '{prompt[:60]}' into different numbers of tokens")
        hidden.append(torch.cat([part.hidden for part in parts], dim=-1))
        pooled.append(parts[-1].pooled)
    vectors = [one for one in pooled if one is not None]
    return Embeddings(hidden=torch.stack(hidden), pooled=torch.stack(vectors) if vectors else None)


def zero_empty(pipeline: Any, prompts: Sequence[str], embeddings: Embeddings) -> Embeddings:
    """SDXL's unconditional embedding is zero, not the encoding of an empty prompt, when its config says so."""
    if not getattr(pipeline.config, "force_zeros_for_empty_prompt", False):
        return embeddings
    keep = torch.tensor([bool(prompt) for prompt in prompts], device=embeddings.hidden.device)
    hidden = embeddings.hidden * keep[:, None, None]
    pooled = None if embeddings.pooled is None else embeddings.pooled * keep[:, None]
    return Embeddings(hidden=hidden, pooled=pooled, mask=embeddings.mask)


def one_vector(how: str, segments: Tensor | None, whole: Callable[[], Tensor | None]) -> Tensor | None:
    """The pooled vector [P] of a prompt from those of its segments [S, P], or of the cut `whole`; None without any."""
    if segments is None or how == "truncated":
        return None if segments is None else whole()
    return segments.mean(0) if how == "mean" else segments[0 if how == "first" else -1]


def _projected(out: Any) -> Tensor | None:
    """`text_embeds` by name where there is one, else the first of the outputs where that is [n, P]."""
    named = getattr(out, "text_embeds", None)
    if named is not None:
        return named  # type: ignore[no-any-return]
    first = out[0]
    return first if first.ndim == 2 else None


def _is_clip(encoder: Any) -> bool:
    return "clip" in str(getattr(getattr(encoder, "config", None), "model_type", ""))

"""The pipeline's own text encoders, through its `encode_prompt`, whatever its class returns from it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from selma_core.errors import UserError
from selma_core.protocols import Embeddings, TokenUse
from selma_core.records import NoOptions
from selma_plugins.encoders.options import ClipOptions
from selma_plugins.encoders.towers import Rows, Tower, joined, towers, zero_empty

# Tokenizers without a limit say 1e30; T5's in diffusers' pipelines are cut at a length that the call sets.
_NO_LIMIT = 100_000


class PipelineEncoder:
    """`selma_core.protocols.TextEncoder` for StableDiffusion, SDXL, SD3, Flux, PixArt and classes like them."""

    def __init__(self, options: ClipOptions | NoOptions) -> None:
        self._max_tokens = getattr(options, "max_tokens", None)

    @torch.no_grad()
    def encode(self, pipeline: Any, prompts: Sequence[str]) -> Embeddings:
        """hidden [B, L, D], pooled [B, P] or None, mask [B, L] or None; `""` is what the class itself uses unguided.

        Raises:
            UserError: for a pipeline without `encode_prompt`; for `max_tokens` with other encoders than CLIP.
        """
        if self._max_tokens is not None:
            return zero_empty(pipeline, prompts, joined(towers(pipeline, self._max_tokens), prompts, _cut))
        method = getattr(pipeline, "encode_prompt", None)
        if method is None:
            raise UserError(f"{type(pipeline).__name__} has no encode_prompt; pick another text encoder")
        known = inspect.signature(method).parameters
        arguments: dict[str, Any] = {
            "prompt": list(prompts),
            "prompt_2": None,
            "prompt_3": None,
            "device": pipeline._execution_device,
            "num_images_per_prompt": 1,
            "do_classifier_free_guidance": False,
        }
        found = method(**{key: value for key, value in arguments.items() if key in known})
        return zero_empty(pipeline, prompts, _sort_out(found, known))

    def usage(self, pipeline: Any, prompts: Sequence[str]) -> list[TokenUse] | None:
        """One segment, and the tokens of the words: those used, and those that are cut off; None for a pipeline that
        sets no limit."""
        reading = _longest(pipeline)
        if reading is None:
            return None
        tokenizer, limit = reading
        counts = [len(tokenizer(text, truncation=False, verbose=False)["input_ids"]) for text in prompts]
        marks = tokenizer.num_special_tokens_to_add()
        cut = min(limit, self._max_tokens or limit)
        return [TokenUse(segments=1, tokens=min(n, cut) - marks, dropped=max(0, n - cut)) for n in counts]


def _longest(pipeline: Any) -> tuple[Any, int] | None:
    """The tokenizer that reads most, with its limit: what every tokenizer cuts off has no effect."""
    limits = {
        tokenizer: int(tokenizer.model_max_length)
        for name in ("tokenizer", "tokenizer_2", "tokenizer_3")
        if (tokenizer := getattr(pipeline, name, None)) is not None
    }
    if not limits or max(limits.values()) > _NO_LIMIT:
        return None
    return max(limits.items(), key=lambda item: item[1])


def _cut(tower: Tower, prompt: str) -> Rows:
    """A prompt cut at the tower's limit, padded to the length that the model was made for."""
    states, pooled = tower.run([tower.marked(tower.words(prompt))], int(tower.tokenizer.model_max_length))
    return Rows(hidden=states[0], pooled=None if pooled is None else pooled[0])


def _sort_out(found: Any, known: Any) -> Embeddings:
    """Which of the returned tensors is which follows from the arguments that the same method takes."""
    if "prompt_attention_mask" in known:  # PixArt, Sana: hidden, mask, negative hidden, negative mask
        return Embeddings(hidden=found[0], mask=found[1].bool())
    if "negative_pooled_prompt_embeds" in known:  # SDXL, SD3: hidden, negative, pooled, negative pooled
        return Embeddings(hidden=found[0], pooled=found[2])
    if "pooled_prompt_embeds" in known:  # Flux: hidden, pooled, ids
        return Embeddings(hidden=found[0], pooled=found[1])
    return Embeddings(hidden=found[0] if isinstance(found, tuple) else found)

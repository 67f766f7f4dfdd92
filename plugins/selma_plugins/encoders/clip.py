"""The pipeline's own text encoders, through its `encode_prompt`, whatever its class returns from it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from selma_core.errors import UserError
from selma_core.protocols import Embeddings
from selma_core.records import NoOptions


class PipelineEncoder:
    """`selma_core.protocols.TextEncoder` for StableDiffusion, SDXL, SD3, Flux, PixArt and classes like them."""

    def __init__(self, options: NoOptions) -> None:
        del options

    @torch.no_grad()
    def encode(self, pipeline: Any, prompts: Sequence[str]) -> Embeddings:
        """hidden [B, L, D], pooled [B, P] or None, mask [B, L] or None; `""` is what the class itself uses unguided.

        Raises:
            UserError: for a pipeline without `encode_prompt`.
        """
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
        return _zero_empty(pipeline, prompts, _sort_out(found, known))


def _sort_out(found: Any, known: Any) -> Embeddings:
    """Which of the returned tensors is which follows from the arguments that the same method takes."""
    if "prompt_attention_mask" in known:  # PixArt, Sana: hidden, mask, negative hidden, negative mask
        return Embeddings(hidden=found[0], mask=found[1].bool())
    if "negative_pooled_prompt_embeds" in known:  # SDXL, SD3: hidden, negative, pooled, negative pooled
        return Embeddings(hidden=found[0], pooled=found[2])
    if "pooled_prompt_embeds" in known:  # Flux: hidden, pooled, ids
        return Embeddings(hidden=found[0], pooled=found[1])
    return Embeddings(hidden=found[0] if isinstance(found, tuple) else found)


def _zero_empty(pipeline: Any, prompts: Sequence[str], embeddings: Embeddings) -> Embeddings:
    """SDXL's unconditional embedding is zero, not the encoding of an empty prompt, when its config says so."""
    if not getattr(pipeline.config, "force_zeros_for_empty_prompt", False):
        return embeddings
    keep = torch.tensor([bool(prompt) for prompt in prompts], device=embeddings.hidden.device)
    hidden = embeddings.hidden * keep[:, None, None]
    pooled = None if embeddings.pooled is None else embeddings.pooled * keep[:, None]
    return Embeddings(hidden=hidden, pooled=pooled, mask=embeddings.mask)

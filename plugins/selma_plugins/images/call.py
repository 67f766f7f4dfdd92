"""The arguments of a pipeline's call, whatever its class names them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from selma_core.errors import UserError, did_you_mean
from selma_core.protocols import Embeddings
from selma_plugins.diffusion.embeddings import EmbeddingCache
from selma_plugins.images.options import DiffusersOptions

# Set by the options of their own names, or by the generator: not for `call_options`.
_RESERVED = {
    "self", "prompt", "prompt_2", "prompt_3", "negative_prompt", "negative_prompt_2", "negative_prompt_3",
    "num_inference_steps", "guidance_scale", "height", "width", "num_images_per_prompt", "generator", "latents",
    "prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds",
    "prompt_attention_mask", "negative_prompt_attention_mask", "output_type", "return_dict", "kwargs",
}  # fmt: skip


def parameters(pipeline: Any) -> Mapping[str, inspect.Parameter]:
    """The parameters of the pipeline's call."""
    return inspect.signature(type(pipeline).__call__).parameters


def check_call(pipeline: Any, options: DiffusersOptions) -> None:
    """Checks that the pipeline takes what the options give.

    Raises:
        UserError: for an unknown call option (with the nearest name), or embeddings that it does not take.
    """
    known = parameters(pipeline)
    free = [name for name in known if name not in _RESERVED]
    for name in options.call_options:
        if name not in free:
            raise UserError(f"{type(pipeline).__name__} takes no call option '{name}': {did_you_mean(name, free)}")
    if "prompt_embeds" not in known:
        raise UserError(f"{type(pipeline).__name__} takes no prompt_embeds; it cannot be used for images yet")


def call_arguments(
    pipeline: Any, options: DiffusersOptions, cache: EmbeddingCache, texts: Sequence[str]
) -> dict[str, Any]:
    """Everything but the generators: embeddings, the negative embedding (made once), size, steps, guidance."""
    known = parameters(pipeline)
    arguments: dict[str, Any] = {"num_inference_steps": options.steps, **options.call_options}
    sizes = {"guidance_scale": options.guidance, "height": options.height, "width": options.width}
    arguments |= {name: value for name, value in sizes.items() if value is not None}
    arguments |= _embedded(pipeline, cache.batch(texts), known, "")
    if "negative_prompt_embeds" in known and _negated(options, known):
        arguments |= _embedded(pipeline, cache.batch([options.negative_prompt] * len(texts)), known, "negative_")
        arguments["negative_prompt"] = None  # PixArt's default is a text, which would clash with the embedding
    return arguments


def _negated(options: DiffusersOptions, known: Mapping[str, Any]) -> bool:
    """Distilled models (Flux) take a negative embedding only when true classifier-free guidance is asked for."""
    return "true_cfg_scale" not in known or float(options.call_options.get("true_cfg_scale", 1.0)) > 1.0


def _embedded(pipeline: Any, found: Embeddings, known: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    device = pipeline._execution_device
    named = {
        f"{prefix}prompt_embeds": found.hidden,
        f"{prefix}pooled_prompt_embeds": found.pooled,
        f"{prefix}prompt_attention_mask": found.mask,
    }
    return {name: value.to(device) for name, value in named.items() if value is not None and name in known}

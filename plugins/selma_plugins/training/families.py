"""How each class of denoiser is called: latents, timesteps and embeddings in, prediction out, all [B, C, h, w]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import torch

from selma_core.errors import UserError
from selma_core.protocols import Embeddings


@attrs.frozen
class Batch:
    """What a denoiser is given.

    Attributes:
        noisy: [B, C, h, w]. timesteps: [B] in [0, 1000). text: embeddings with a batch axis of B.
        sizes: [B, 6] original height and width, top and left of the crop, target height and width (SDXL).
    """

    noisy: torch.Tensor
    timesteps: torch.Tensor
    text: Embeddings
    sizes: torch.Tensor


Predict = Callable[[Any, Batch], torch.Tensor]


def family_of(denoiser: Any) -> Predict:
    """How to call this denoiser.

    Raises:
        UserError: for a class that the trainer cannot call; names those that it can.
    """
    kind = type(denoiser).__name__
    if kind == "UNet2DConditionModel":
        return _unet_kind(denoiser.config)
    found = _TRANSFORMERS.get(kind)
    if found is None:
        known = ", ".join(["UNet2DConditionModel", *_TRANSFORMERS])
        raise UserError(f"the trainer 'lora' cannot train a {kind} yet; it trains: {known}")
    return found


def _unet_kind(config: Any) -> Predict:
    added = config.get("addition_embed_type")
    if added not in {None, "text_time"} or config.get("class_embed_type") is not None:
        raise UserError(f"the trainer 'lora' cannot train a UNet with addition_embed_type '{added}' yet")
    return _sdxl if added == "text_time" else _unet


def _unet(model: Any, batch: Batch) -> torch.Tensor:
    result: torch.Tensor = model(batch.noisy, batch.timesteps, batch.text.hidden, return_dict=False)[0]
    return result


def _sdxl(model: Any, batch: Batch) -> torch.Tensor:
    added = {"text_embeds": batch.text.pooled, "time_ids": batch.sizes.to(batch.noisy.dtype)}
    result: torch.Tensor = model(
        batch.noisy, batch.timesteps, batch.text.hidden, added_cond_kwargs=added, return_dict=False
    )[0]
    return result


def _sd3(model: Any, batch: Batch) -> torch.Tensor:
    result: torch.Tensor = model(
        hidden_states=batch.noisy,
        timestep=batch.timesteps,
        encoder_hidden_states=batch.text.hidden,
        pooled_projections=batch.text.pooled,
        return_dict=False,
    )[0]
    return result


def _flux(model: Any, batch: Batch) -> torch.Tensor:
    """Latents in 2 x 2 patches of 4 C channels, positions as ids, the timestep in [0, 1], guidance distilled at 1."""
    count, channels, height, width = batch.noisy.shape
    rows, columns = height // 2, width // 2
    packed = batch.noisy.view(count, channels, rows, 2, columns, 2).permute(0, 2, 4, 1, 3, 5)
    grid = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
    ids = torch.nn.functional.pad(grid, (1, 0)).to(batch.noisy)
    guidance = torch.ones(count).to(batch.noisy) if getattr(_config(model), "guidance_embeds", False) else None
    out = model(
        hidden_states=packed.reshape(count, rows * columns, channels * 4),
        timestep=batch.timesteps / 1000,
        guidance=guidance,
        pooled_projections=batch.text.pooled,
        encoder_hidden_states=batch.text.hidden,
        txt_ids=torch.zeros(batch.text.hidden.shape[1], 3).to(batch.noisy),
        img_ids=ids,
        return_dict=False,
    )[0]
    unpacked = out.view(count, rows, columns, channels, 2, 2).permute(0, 3, 1, 4, 2, 5)
    result: torch.Tensor = unpacked.reshape(count, channels, height, width)
    return result


def _pixart(model: Any, batch: Batch) -> torch.Tensor:
    """The second half of the channels is the learned variance, which plain training leaves alone."""
    count, channels = batch.noisy.shape[:2]
    added: dict[str, Any] = {"resolution": None, "aspect_ratio": None}
    if getattr(_config(model), "use_additional_conditions", None) or _config(model).sample_size == 128:
        target = batch.sizes[:, 4:].to(batch.noisy)
        added = {"resolution": target, "aspect_ratio": (target[:, :1] / target[:, 1:]).view(count, 1)}
    out: torch.Tensor = model(
        hidden_states=batch.noisy,
        encoder_hidden_states=batch.text.hidden,
        encoder_attention_mask=batch.text.mask,
        timestep=batch.timesteps,
        added_cond_kwargs=added,
        return_dict=False,
    )[0]
    return out[:, :channels]


def _config(model: Any) -> Any:
    """The config also of a model wrapped for several processes."""
    return getattr(model, "module", model).config


_TRANSFORMERS: dict[str, Predict] = {
    "SD3Transformer2DModel": _sd3,
    "FluxTransformer2DModel": _flux,
    "PixArtTransformer2DModel": _pixart,
}

"""Drawing with gradients: which steps have one, guidance, and the way from noise to a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch.utils.checkpoint import checkpoint

from selma_core.protocols import Embeddings
from selma_core.seeds import derive_seed
from selma_plugins.diffusion.embeddings import stack
from selma_plugins.reward_training.ddim import Grid
from selma_plugins.reward_training.options import RewardLoraOptions

Answer = Callable[[torch.Tensor, int], torch.Tensor]
"""(latents [B, C, h, w], timestep) -> the guided prediction, fp32."""


@attrs.frozen
class Route:
    """Attributes: trained = the steps with a gradient; last = the one whose predicted clean latents are the picture;
    cut = the denoiser is given its latents without their gradient, so that this flows by the sampler's own sums only.
    """

    trained: frozenset[int]
    last: int
    cut: bool


def route_of(options: RewardLoraOptions, seed: int, step: int) -> Route:
    """The route of an optimizer step; a function of seed and step, so that a resumed run takes the same."""
    count, draw = options.draw_steps, derive_seed("reward-route", seed, step)
    if options.method == "drtune":
        stride = count // options.k
        return Route(frozenset(range(draw % stride, count, stride)), count - 1, cut=True)
    if options.method == "draft_k":
        return Route(frozenset(range(count - options.k, count)), count - 1, cut=False)
    first = min(int(options.refl_from * count), count - 1)
    place = first + draw % (count - first)
    return Route(frozenset([place]), place, cut=True)


def both_halves(without: Embeddings, prompts: Embeddings) -> Embeddings:
    """One batch for guidance. The order is fixed here, and `guided` alone takes it apart: first without a prompt."""
    return stack([without, prompts])


def guided(answers: torch.Tensor, scale: float) -> torch.Tensor:
    """Classifier-free guidance of answers [2 B, ...] to a batch of `both_halves`: u + scale (c - u)."""
    without, prompts = answers.chunk(2)
    return without + scale * (prompts - without)


def draw(
    grid: Grid,
    route: Route,
    noise: torch.Tensor,
    answer: Answer,
    reference: Answer | None = None,
    *,
    save: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """From noise [B, C, h, w] to (clean latents of the picture, mean squared distance from the reference [B]).

    Args:
        reference: what the trained steps' answers are compared with, without gradient; None = nothing, distance 0.
        save: keep no activations of a trained step; it is computed again in the backward pass.
    """
    x, distance = noise, torch.zeros(len(noise), device=noise.device)
    for place, timestep in enumerate(grid.timesteps):
        if place in route.trained:
            given = x.detach() if route.cut else x
            found = _kept(answer, given, timestep) if save else answer(given, timestep)
            if reference is not None:
                with torch.no_grad():
                    wanted = reference(x.detach(), timestep)
                distance = distance + (found - wanted).square().flatten(1).mean(1) / len(route.trained)
        else:
            with torch.no_grad():
                found = answer(x.detach(), timestep)
        clean, spread = grid.clean(place, x, found)
        if place == route.last:
            return clean, distance
        x = grid.onward(place, clean, spread)
    raise AssertionError("a route ends within its grid")


def _kept(answer: Answer, x: torch.Tensor, timestep: int) -> torch.Tensor:
    found: torch.Tensor = checkpoint(answer, x, timestep, use_reentrant=False, preserve_rng_state=False)
    return found


def pictures(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Latents as the denoiser knows them -> pictures [B, 3, H, W] in [0, 1], with their gradient."""
    config = vae.config
    mean, std = config.get("latents_mean"), config.get("latents_std")
    latents = latents / float(config.scaling_factor)
    if mean is not None and std is not None:
        wide = [torch.tensor(row).view(1, -1, 1, 1).to(latents) for row in (mean, std)]
        latents = latents * wide[1] + wide[0]
    else:
        latents = latents + float(config.get("shift_factor") or 0.0)
    decoded: torch.Tensor = vae.decode(latents.to(vae.dtype), return_dict=False)[0]
    return (decoded.float() / 2 + 0.5).clamp(0, 1)

"""Scenes as the base model draws them: a drawn picture goes back to half noise and is denoised again.

What stands where survives, so the scene's own answers stay right; edges, colours and small parts become the model's.
A second lot passes through the autoencoder alone, with noise on its latents.
"""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import torch
from attrs import frozen
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from torch import Generator, Tensor

from selma_plugins.shapes.captions import style_for, write
from selma_plugins.shapes.render import pixels
from selma_plugins.shapes.scene import Scene, random_scene
from selma_plugins.shapes.spec import describe
from selma_plugins.shapes.train.asking import wild_scene
from selma_plugins.shapes.train.vae import to_tensor

BATCH = 32
STEPS = 15  # of the whole way; a picture goes the last `strength` of it
NOISE = 0.5  # largest spread of the noise on latents, whose own spread is 1


@frozen
class Pool:
    """Scenes and their pictures (n, 3, 64, 64) in [-1, 1], half precision."""

    scenes: tuple[Scene, ...]
    pictures: Tensor


def redrawn(base: Path, count: int, seed: int, strengths: Sequence[float] = (0.25, 0.35, 0.45)) -> Pool:
    """Scenes of the world, drawn again by a model with a caption that is right, from `strengths` of its noise."""
    rng, parts, scenes = Random(seed), [], []
    pipe = _image_to_image(base)
    for start in range(0, count, BATCH):
        some = [random_scene(rng) for _ in range(min(BATCH, count - start))]
        specs = [describe(scene) for scene in some]
        texts = [write(spec, style_for(spec, rng), rng) for spec in specs]
        noise = Generator().manual_seed(seed + start)
        strength = strengths[start // BATCH % len(strengths)]
        drawn = pipe(
            prompt=texts,
            image=(drawn_batch(some) + 1) / 2,
            strength=strength,
            num_inference_steps=STEPS,
            guidance_scale=1.0,
            generator=noise,
            output_type="np",
        ).images
        parts.append(to_tensor(np.round(np.asarray(drawn) * 255).astype(np.uint8)).half())
        scenes += some
    return Pool(tuple(scenes), torch.cat(parts))


@torch.no_grad()
def decoded(base: Path, count: int, seed: int) -> Pool:
    """Wild scenes as the autoencoder gives them back from latents with noise."""
    rng, parts, scenes = Random(seed), [], []
    vae, noise = _image_to_image(base).vae, Generator().manual_seed(seed)
    for start in range(0, count, BATCH):
        some = [wild_scene(rng) for _ in range(min(BATCH, count - start))]
        latents = vae.encode(drawn_batch(some)).latent_dist.mean
        spread = NOISE * torch.rand(len(some), 1, 1, 1, generator=noise)
        latents = latents + spread * torch.randn(latents.shape, generator=noise)
        parts.append(vae.decode(latents).sample.clamp(-1, 1).half())
        scenes += some
    return Pool(tuple(scenes), torch.cat(parts))


def drawn_batch(scenes: Sequence[Scene]) -> Tensor:
    """Scenes as rendered, (n, 3, 64, 64) in [-1, 1]."""
    return to_tensor(np.stack([pixels(scene) for scene in scenes]))


def _image_to_image(base: Path) -> StableDiffusionImg2ImgPipeline:
    pipe = StableDiffusionPipeline.from_pretrained(base, torch_dtype=torch.float32)
    other = StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    return other

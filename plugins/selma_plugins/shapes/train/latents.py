"""Scenes and their latents, encoded once: a training step is then the denoiser alone."""

from pathlib import Path
from random import Random

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from selma_plugins.shapes.render import pixels
from selma_plugins.shapes.scene import Scene, random_scene
from selma_plugins.shapes.train.vae import to_tensor

SHARD = 4096  # scenes in one file; the file's number is the seed of its scenes
FIRST_SEED = 1_000_000  # far from the seeds that other parts draw scenes with


def shard_scenes(number: int) -> list[Scene]:
    """The scenes of a shard: drawn again from its seed, so that only latents are stored."""
    rng = Random(FIRST_SEED + number)
    return [random_scene(rng) for _ in range(SHARD)]


def shard_path(work: Path, number: int) -> Path:
    """Where the latents of a shard lie."""
    return work / "latents" / f"{number:03d}.npy"


@torch.no_grad()
def encode_shard(vae: AutoencoderKL, work: Path, number: int, device: str = "cpu") -> None:
    """Write a shard's latents, (4096, 4, 16, 16) half floats, unless they are there."""
    target = shard_path(work, number)
    if target.exists():
        return
    parts = []
    scenes = shard_scenes(number)
    vae = vae.to(device)
    for start in range(0, SHARD, 64):
        images = np.stack([pixels(s) for s in scenes[start : start + 64]])
        latents = vae.encode(to_tensor(images).to(device)).latent_dist.mean
        parts.append((latents * vae.config.scaling_factor).cpu().half().numpy())
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".draft.npy")
    np.save(draft, np.concatenate(parts))
    draft.rename(target)


def load_shards(work: Path, count: int) -> tuple[list[Scene], Tensor]:
    """The scenes and latents of the shards 0 .. count - 1 that exist."""
    scenes: list[Scene] = []
    parts: list[Tensor] = []
    for number in range(count):
        path = shard_path(work, number)
        if path.exists():
            scenes += shard_scenes(number)
            parts.append(torch.from_numpy(np.load(path)))
    return scenes, torch.cat(parts)

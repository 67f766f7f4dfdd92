"""The autoencoder's decoder, trained on once the encoder is fixed and its latents are cached.

What a denoiser draws is a little off the encoder's own latents. A decoder that has only seen exact
ones turns that into specks on plain backgrounds. Here it learns to read latents with noise on them,
while the encoder, and so every latent that a denoiser was trained on, stays as it is.
"""

from pathlib import Path
from random import Random

import numpy as np
import torch
from attrs import frozen
from diffusers import AutoencoderKL
from torch import Tensor

from selma_plugins.shapes.render import pixels
from selma_plugins.shapes.train import checkpoint
from selma_plugins.shapes.train.clock import Clock
from selma_plugins.shapes.train.fit import Fit, Pace, trainable
from selma_plugins.shapes.train.latents import load_shards
from selma_plugins.shapes.train.vae import drawn_loss, to_tensor


@frozen
class DecoderOptions:
    """Settings of the decoder's training."""

    work: Path
    seed: int = 0
    minutes: float = 25.0
    steps: int = 0
    batch: int = 8
    peak: float = 1e-3
    noise: float = 0.25  # largest standard deviation of the noise on the latents (theirs is 1)
    shards: int = 10
    device: str = "cpu"


def noisy(latents: Tensor, largest: float) -> Tensor:
    """Latents (n, c, h, w) with noise of its own random strength on each."""
    strength = largest * torch.rand(len(latents), 1, 1, 1, device=latents.device)
    return latents + strength * torch.randn_like(latents)


def train(options: DecoderOptions) -> AutoencoderKL:
    """Train for the budget and put the result in the place of `work/vae`; resumes where it was."""
    folder, log = options.work / "vae", options.work / "decoder.log"
    vae = AutoencoderKL.from_pretrained(folder).to(options.device).train()
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    pace = Pace(options.peak, hold=0.3, betas=(0.9, 0.99), decay=1e-4, every=200)
    fit = Fit("decoder", log, trainable(vae), Clock(options.minutes, options.steps), pace)
    file = options.work / "decoder.safetensors"
    fit.resume(file, vae)
    torch.manual_seed(options.seed + fit.step)
    rng = Random(options.seed + fit.step)
    scenes, latents = load_shards(options.work, options.shards)
    while fit.goes_on():
        picks = [rng.randrange(len(scenes)) for _ in range(options.batch)]
        wanted = to_tensor(np.stack([pixels(scenes[i]) for i in picks])).to(options.device)
        given = noisy(latents[picks].float().to(options.device), options.noise)
        fit.learn(drawn_loss(vae.decode(given).sample, wanted))
        if fit.step % 1000 == 0:
            fit.keep(file, vae)
    vae = vae.cpu().eval()
    checkpoint.publish(folder, vae.save_pretrained)
    return vae

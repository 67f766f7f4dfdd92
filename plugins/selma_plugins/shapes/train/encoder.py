"""The autoencoder's encoder, trained last: to read pictures that the models draw, not only drawn scenes.

A model that learns from its own pictures sees them through decoder and encoder. An encoder that only knows clean scenes
loses a little of every drawn one: measured on the base's pictures, one way through both cost 8 points of DSG, more
than self-training could ever win. Here the decoder stays as it is, so pictures and denoisers stay as they are, and the
encoder learns that what it reads off a picture must draw that picture again.
"""

from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from attrs import frozen
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor

from selma_plugins.shapes.train import checkpoint
from selma_plugins.shapes.train.clock import Clock
from selma_plugins.shapes.train.decoder import noisy
from selma_plugins.shapes.train.fit import Fit, Pace, trainable
from selma_plugins.shapes.train.latents import load_shards
from selma_plugins.shapes.train.vae import drawn_loss, to_tensor


@frozen
class EncoderOptions:
    """Settings of the encoder's training."""

    work: Path
    pictures: tuple[Path, ...] = ()  # folders of PNGs that a model drew; without them, decoded scenes alone
    seed: int = 0
    minutes: float = 10.0
    steps: int = 0
    batch: int = 16
    peak: float = 1e-3
    noise: float = 0.3  # largest standard deviation of the noise on the latents (theirs is 1)
    tie: float = 1.0  # weight of the distance from the latents that a decoded picture came from
    spread: float = 0.3  # weight of the posterior's own spread, which a trainer would draw as noise
    shards: int = 10
    device: str = "cpu"


class Pictures:
    """Batches of pictures as models draw them: half from files, half decoded from latents with noise."""

    def __init__(self, options: EncoderOptions, vae: AutoencoderKL) -> None:
        self.options, self.vae = options, vae
        self.rng = Random(options.seed)
        self.latents = load_shards(options.work, options.shards)[1]
        files = sorted(file for folder in options.pictures for file in folder.glob("*.png"))
        self.drawn = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files]) if files else None

    @torch.no_grad()
    def batch(self) -> tuple[Tensor, Tensor]:
        """Pictures (b, 3, 64, 64), and the latents (d, 4, 16, 16) that the first d of them came from."""
        o = self.options
        count = o.batch if self.drawn is None else o.batch // 2
        picks = [self.rng.randrange(len(self.latents)) for _ in range(count)]
        latents = self.latents[picks].float().to(o.device)
        pictures = self.vae.decode(noisy(latents, o.noise)).sample.clamp(-1, 1)
        if self.drawn is not None:
            more = [self.rng.randrange(len(self.drawn)) for _ in range(o.batch - count)]
            pictures = torch.cat([pictures, to_tensor(self.drawn[more]).to(o.device)])
        return pictures, latents


def train(options: EncoderOptions) -> AutoencoderKL:
    """Train for the budget and put the result in the place of `work/vae`."""
    folder, log = options.work / "vae", options.work / "encoder.log"
    vae = AutoencoderKL.from_pretrained(folder).to(options.device).train()
    vae.requires_grad_(False)
    vae.encoder.requires_grad_(True)
    vae.quant_conv.requires_grad_(True)
    pace = Pace(options.peak, hold=0.3, betas=(0.9, 0.99), decay=1e-4)
    fit = Fit("encoder", log, trainable(vae), Clock(options.minutes, options.steps), pace)
    torch.manual_seed(options.seed)
    source = Pictures(options, vae)
    while fit.goes_on():
        pictures, latents = source.batch()
        posterior = vae.encode(pictures).latent_dist
        loss = drawn_loss(vae.decode(posterior.sample()).sample, pictures)
        loss = loss + options.tie * F.mse_loss(posterior.mean[: len(latents)], latents)
        fit.learn(loss + options.spread * posterior.std.mean())
    vae = vae.cpu().eval()
    checkpoint.publish(folder, vae.save_pretrained)
    return vae

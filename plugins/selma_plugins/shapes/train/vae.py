"""The autoencoder of both models: 64 x 64 x 3 pixels <-> 16 x 16 x 4 latents of unit variance."""

from pathlib import Path
from random import Random

import numpy as np
import torch
from attrs import evolve, frozen
from diffusers import AutoencoderKL

from selma_plugins.shapes.render import pixels
from selma_plugins.shapes.scene import CANVAS, random_scene
from selma_plugins.shapes.train import checkpoint
from selma_plugins.shapes.train.clock import Clock, say
from selma_plugins.shapes.train.fit import Fit, Pace, trainable

LATENT_CHANNELS = 4
OBJECT_WEIGHT = 4.0


@frozen
class Stage:
    """One leg of the training, with a learning rate that falls to zero by its end."""

    minutes: float
    batch: int
    crop: int
    peak: float
    kl_weight: float


@frozen
class VaeOptions:
    """Settings of the autoencoder's training: crops around objects first, then whole pictures."""

    work: Path
    seed: int = 0
    stages: tuple[Stage, ...] = (Stage(7, 16, 32, 2e-3, 1e-4), Stage(4, 4, CANVAS, 1.8e-3, 3e-5))
    minutes: float | None = None  # another budget in all, shared out over the stages alike
    steps: int = 0  # in each stage, instead of a budget in minutes
    device: str = "cpu"


def build() -> AutoencoderKL:
    """A small KL autoencoder with three levels; no attention, so that crops train it."""
    return AutoencoderKL(
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=LATENT_CHANNELS,
        layers_per_block=1,
        norm_num_groups=8,
        sample_size=CANVAS,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )


def picture_batch(count: int, rng: Random, crop: int = CANVAS) -> torch.Tensor:
    """Random scenes as floats (count, 3, crop, crop) in [-1, 1], each cropped at random."""
    parts = []
    for _ in range(count):
        scene = random_scene(rng)
        item = rng.choice(scene.objects)  # crops are taken around objects: there is the detail
        x, y = (min(max(0, at - rng.randint(0, crop)), CANVAS - crop) for at in (item.cx, item.cy))
        parts.append(pixels(scene)[y : y + crop, x : x + crop])
    return to_tensor(np.stack(parts))


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """Bytes (n, h, w, 3) -> floats (n, 3, h, w) in [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def loss_of(vae: AutoencoderKL, images: torch.Tensor, kl_weight: float) -> torch.Tensor:
    """Mean absolute and squared error of a sampled reconstruction, plus the KL term."""
    posterior = vae.encode(images).latent_dist
    kl = posterior.kl().mean() / posterior.mean[0].numel()
    loss: torch.Tensor = drawn_loss(vae.decode(posterior.sample()).sample, images) + kl_weight * kl
    return loss


def drawn_loss(images: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Absolute and squared error of pictures (n, 3, h, w), objects weighted above the background."""
    # Objects cover little of a picture: without a weight their colours are learned last.
    plain = wanted.flatten(2).median(2).values[..., None, None]
    weight = 1 + OBJECT_WEIGHT * ((wanted - plain).abs().amax(1, keepdim=True) > 0.1)
    error = images - wanted
    loss: torch.Tensor = (weight * (error.abs() + 2 * error.square())).mean()
    return loss


@torch.no_grad()
def whiten(vae: AutoencoderKL, images: torch.Tensor) -> None:
    """Fold mean and spread of each latent channel into the two 1 x 1 convolutions.

    The latents then have zero mean and unit variance per channel, so `scaling_factor` is 1 and
    the diffusion model sees what its noise schedule assumes.
    """
    latents = vae.encode(images).latent_dist.mean
    mean, std = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
    c = LATENT_CHANNELS
    into, out = vae.quant_conv, vae.post_quant_conv
    out.bias += out.weight[:, :, 0, 0] @ mean
    out.weight *= std[None, :, None, None]
    into.weight[:c] /= std[:, None, None, None]
    into.bias[:c] = (into.bias[:c] - mean) / std
    into.bias[c:] -= 2 * std.log()


def train(options: VaeOptions) -> AutoencoderKL:
    """Train all stages, whiten, save to `work/vae`; what is finished is loaded instead."""
    done, log = options.work / "vae", options.work / "vae.log"
    if done.exists():
        return AutoencoderKL.from_pretrained(done)
    torch.manual_seed(options.seed)
    vae = build()
    whole = sum(stage.minutes for stage in options.stages)
    for number, stage in enumerate(options.stages):
        minutes = stage.minutes * (options.minutes or whole) / whole
        run_stage(vae, options, number, evolve(stage, minutes=minutes))
    vae = vae.cpu().eval()
    rng = Random(options.seed)
    whiten(vae, picture_batch(256, rng))
    checkpoint.publish(done, vae.save_pretrained)
    say(log, f"vae done; {report(vae, rng)}")
    return vae


def run_stage(vae: AutoencoderKL, options: VaeOptions, number: int, stage: Stage) -> None:
    """Train one stage in place; resumes within it, and skips it where its checkpoint is last."""
    file = options.work / f"vae{number}.safetensors"
    vae.to(options.device).train()
    pace = Pace(stage.peak, warm=0.03, betas=(0.9, 0.99), decay=1e-4)
    clock = Clock(stage.minutes, options.steps)
    fit = Fit(f"vae stage {number}", options.work / "vae.log", trainable(vae), clock, pace)
    fit.resume(file, vae)
    rng = Random(f"{options.seed} {number} {fit.step}")
    while fit.goes_on():
        images = picture_batch(stage.batch, rng, stage.crop).to(options.device)
        fit.learn(loss_of(vae, images, stage.kl_weight))
        if fit.step % 1000 == 0:
            fit.keep(file, vae)
    fit.keep(file, vae)


@torch.no_grad()
def report(vae: AutoencoderKL, rng: Random) -> str:
    """Reconstruction error on fresh scenes, in bytes, and the posterior's mean spread."""
    images = picture_batch(128, rng)
    dist = vae.encode(images).latent_dist
    error = (vae.decode(dist.mean).sample.clamp(-1, 1) - images).abs() * 127.5
    return f"mean error {error.mean():.2f} of 255, posterior spread {dist.std.mean():.3f}"

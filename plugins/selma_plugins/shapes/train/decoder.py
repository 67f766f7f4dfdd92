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
from selma_plugins.shapes.train.clock import Clock, rate, say
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
    weights = [p for p in vae.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=options.peak, betas=(0.9, 0.99), weight_decay=1e-4)
    clock, step = Clock(options.minutes, options.steps), 0
    saved = checkpoint.load(options.work / "decoder.safetensors")
    if saved:
        vae.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        clock.spent, step = saved["seconds"], saved["step"]
    torch.manual_seed(options.seed + step)
    rng, losses = Random(options.seed + step), []
    scenes, latents = load_shards(options.work, options.shards)
    while (progress := clock.progress(step)) < 1:
        picks = [rng.randrange(len(scenes)) for _ in range(options.batch)]
        wanted = to_tensor(np.stack([pixels(scenes[i]) for i in picks])).to(options.device)
        given = noisy(latents[picks].float().to(options.device), options.noise)
        for group in optimizer.param_groups:
            group["lr"] = rate(progress, options.peak, warm=0.02, hold=0.3)
        loss = drawn_loss(vae.decode(given).sample, wanted)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        step += 1
        losses.append(loss.item())
        if step % 200 == 0:
            say(log, f"decoder step {step} seconds {clock.seconds:.0f} loss {sum(losses) / len(losses):.4f}")
            losses = []
        if step % 1000 == 0:
            state = {"model": vae.state_dict(), "optimizer": optimizer.state_dict()}
            checkpoint.save(options.work / "decoder.safetensors", {**state, "seconds": clock.seconds, "step": step})
    vae = vae.cpu().eval()
    checkpoint.publish(folder, vae.save_pretrained)
    say(log, f"decoder done after {step} steps, {clock.seconds:.0f} s")
    return vae

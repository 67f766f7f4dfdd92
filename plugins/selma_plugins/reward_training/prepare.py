"""What a run of `reward_lora` begins with: prompts, their embeddings, and images for the ordinary loss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import torch

from selma_core.data import ImageItem, Prompt
from selma_core.errors import UserError
from selma_core.protocols import Context, TrainJob
from selma_plugins.diffusion.embeddings import EmbeddingCache, warn_cut
from selma_plugins.diffusion.loading import denoiser_name
from selma_plugins.diffusion.matched import encoder_for
from selma_plugins.reward_training.options import RewardLoraOptions
from selma_plugins.training.batches import Sampler
from selma_plugins.training.data import TrainingData
from selma_plugins.training.latents import LatentStore
from selma_plugins.training.split import hold_out, may_flip


@attrs.frozen
class Given:
    """Attributes: prompts = distinct texts to draw; train, heldout = images for the ordinary loss."""

    prompts: Sequence[Prompt]
    train: Sequence[ImageItem]
    heldout: Sequence[ImageItem]


def prompts_of(options: RewardLoraOptions, job: TrainJob) -> Given:
    """The prompts of the port `prompts`, else those of the images; each text once."""
    train, heldout = hold_out(job.images, options.heldout) if job.images else ([], [])
    found = job.prompts or tuple(item.prompt for item in train)
    prompts = tuple({prompt.text: prompt for prompt in found}.values())
    if not prompts:
        raise UserError("there is no prompt to draw")
    if options.sft and not train:
        raise UserError("sft: the ordinary loss needs images; give the stage some, or set sft: 0")
    if options.select == "heldout" and not heldout:
        raise UserError("select: heldout needs images of held-out prompts: give the stage images and raise 'heldout'")
    return Given(prompts, train, heldout)


def embed(
    options: RewardLoraOptions, job: TrainJob, pipeline: Any, given: Given, device: torch.device
) -> EmbeddingCache:
    """Embeds every prompt, caption and the empty text, on the device."""
    context = job.context
    pipeline.to(device)
    captions = {item.prompt.text for item in (*given.train, *given.heldout)}
    texts = sorted(captions | {prompt.text for prompt in given.prompts} | {""})
    encoder = encoder_for(options.text_encoder, start_of(job), context)
    warn_cut(pipeline, texts, context.warn, encoder)
    cache = EmbeddingCache(encoder, pipeline, context.workdir / "text", limit=len(texts) + 1)
    for done, text in enumerate(texts):
        cache.get(text)
        context.progress(0, options.steps, f"prompts {done + 1}/{len(texts)}")
    return cache


def ordinary_data(
    options: RewardLoraOptions,
    context: Context,
    pipeline: Any,
    given: Given,
    text: EmbeddingCache,
    device: torch.device,
    dtype: torch.dtype,
) -> TrainingData:
    """What the ordinary loss reads, where it is asked for; and the shape of a latent."""
    items = (*given.train, *given.heldout) if options.sft or given.heldout else ()
    vae = pipeline.vae if pipeline.vae.dtype is torch.float32 else pipeline.vae.to(torch.float32)
    factor = factor_of(pipeline)
    side = options.resolution or int(getattr(pipeline, denoiser_name(pipeline)).config.sample_size) * factor
    latents = LatentStore(vae, items, side, context.workdir / "latents", keep=options.cache_latents)
    latents.fill(lambda done: context.progress(0, options.steps, f"images {done}/{len(items)}"))
    shape = (int(vae.config.latent_channels), side // factor, side // factor)
    batch, count = options.batch_size * options.accumulation, max(1, len(given.train))
    return TrainingData(
        items=items,
        flips=torch.tensor([may_flip(item, options) for item in items]),
        heldout=range(len(given.train), len(items)),
        latents=latents,
        text=text,
        vae_config=vae.config,
        sampler=Sampler(context.seed, count, batch, shape, options.caption_dropout),
        dtype=dtype,
        random_crop=options.crop == "random",
    )


def start_of(job: TrainJob) -> tuple[Path, ...]:
    """The start adapter, or none."""
    return () if job.adapter is None else (job.adapter,)


def factor_of(pipeline: Any) -> int:
    """Pixels of a picture per latent, along a side."""
    return int(2 ** (len(pipeline.vae.config.block_out_channels) - 1))

"""The trainer `reward_lora`: from prompts and rewards to an adapter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs
import torch

from selma_core.data import Entry, ImageItem, Prompt
from selma_core.errors import UserError
from selma_core.protocols import Context, TrainedAdapter, TrainJob
from selma_plugins.diffusion.embeddings import EmbeddingCache, warn_cut
from selma_plugins.diffusion.fuse import fuse
from selma_plugins.diffusion.loading import denoiser_name, load_pipeline, model_folder
from selma_plugins.reward_training.combine import together
from selma_plugins.reward_training.ddim import make_grid
from selma_plugins.reward_training.judging import Judges
from selma_plugins.reward_training.loop import RewardLoop, Task
from selma_plugins.reward_training.options import RewardLoraOptions
from selma_plugins.training.batches import Sampler
from selma_plugins.training.data import TrainingData
from selma_plugins.training.families import family_of
from selma_plugins.training.latents import LatentStore
from selma_plugins.training.noise import Objective
from selma_plugins.training.split import hold_out, may_flip
from selma_plugins.training.trainer import AUTOCAST, precision_of
from selma_plugins.training.tuning import LoraTuning


@attrs.frozen
class _Set:
    """Attributes: prompts = distinct texts to draw; train, heldout = images for the ordinary loss."""

    prompts: Sequence[Prompt]
    train: Sequence[ImageItem]
    heldout: Sequence[ImageItem]


class RewardLoraTrainer:
    """`selma_core.protocols.AdapterTrainer`: draws the prompts, and follows the gradients of what judges say of it."""

    def __init__(self, options: RewardLoraOptions) -> None:
        self._options = options

    def train(self, job: TrainJob) -> TrainedAdapter:
        """Trains a new adapter over the base with the start adapter fused; gives both together, as one.

        Raises:
            ModelError: when the model is missing or broken. ArtifactError: for a broken image or start adapter.
            UserError: for a model, a reward or a prompt set that cannot be trained on.
            StageError: when the loss is no number any more, or memory runs out.
        """
        from accelerate import Accelerator

        options, context, tuning = self._options, job.context, LoraTuning(self._options)
        given = _given(options, job)
        accelerator = Accelerator(cpu=context.device == "cpu")
        if accelerator.num_processes > 1:
            raise UserError("reward_lora trains in one process; leave out `accelerate launch`")
        device = torch.device(context.device)
        autocast = AUTOCAST[precision_of(options.precision, device)]
        model = context.entry("models", options.model)
        pipeline = load_pipeline(model_folder(model), autocast or torch.float32)
        component = denoiser_name(pipeline)
        denoiser = getattr(pipeline, component)
        predict, grid = family_of(denoiser), make_grid(pipeline.scheduler, options.draw_steps)
        objective = Objective(
            pipeline.scheduler, options.min_snr, timesteps=(options.min_timestep, options.max_timestep)
        )
        judges = Judges(options, context)
        if job.adapter is not None:
            fuse(pipeline, job.adapter)
        text = _embed(options, context, pipeline, given, device)
        data = _data(options, context, pipeline, given, text, device, autocast or torch.float32)
        weights = tuning.insert(denoiser, context.seed, job.images)
        pipeline.to("cpu")
        denoiser.to(device).train()
        loop = RewardLoop(
            options=options,
            weights=weights,
            denoiser=denoiser,
            predict=predict,
            objective=objective,
            data=data,
            task=Task(
                texts=[prompt.text for prompt in given.prompts],
                text=text,
                sampler=attrs.evolve(data.sampler, count=len(given.prompts), dropout=0.0),
                grid=grid,
                vae=pipeline.vae.to(device),
                judges=judges,
                side=data.sampler.shape[-1] * _factor(pipeline),
                seed=context.seed,
                dtype=autocast or torch.float32,
            ),
            accelerator=accelerator,
            device=device,
            autocast=autocast,
            workdir=context.workdir,
            progress=context.progress,
            warn=context.warn,
        )
        tensors = together(tuning.tensors(loop.run(), component), job.adapter)
        card = {**_card(options, context, model, loop, given), "start": job.adapter is not None}
        return TrainedAdapter(tensors=tensors, metadata=card, curve=tuple(loop.rows))


def _given(options: RewardLoraOptions, job: TrainJob) -> _Set:
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
    return _Set(prompts, train, heldout)


def _embed(
    options: RewardLoraOptions, context: Context, pipeline: Any, given: _Set, device: torch.device
) -> EmbeddingCache:
    """Embeds every prompt, caption and the empty text, on the device."""
    pipeline.to(device)
    captions = {item.prompt.text for item in (*given.train, *given.heldout)}
    texts = sorted(captions | {prompt.text for prompt in given.prompts} | {""})
    warn_cut(pipeline, texts, context.warn)
    encoder = context.component("text_encoder", options.text_encoder)
    cache = EmbeddingCache(encoder, pipeline, context.workdir / "text", limit=len(texts) + 1)
    for done, text in enumerate(texts):
        cache.get(text)
        context.progress(0, options.steps, f"prompts {done + 1}/{len(texts)}")
    return cache


def _data(
    options: RewardLoraOptions,
    context: Context,
    pipeline: Any,
    given: _Set,
    text: EmbeddingCache,
    device: torch.device,
    dtype: torch.dtype,
) -> TrainingData:
    """What the ordinary loss reads, where it is asked for; and the shape of a latent."""
    items = (*given.train, *given.heldout) if options.sft or given.heldout else ()
    vae = pipeline.vae if pipeline.vae.dtype is torch.float32 else pipeline.vae.to(torch.float32)
    factor = _factor(pipeline)
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


def _factor(pipeline: Any) -> int:
    return int(2 ** (len(pipeline.vae.config.block_out_channels) - 1))


def _card(options: RewardLoraOptions, context: Context, model: Entry, loop: RewardLoop, given: _Set) -> dict[str, Any]:
    picked = options.select == "heldout" and bool(loop.best)
    rewards = {
        name: {"use": slot.use, "options": slot.options, "weight": options.weights.get(name, 1.0)}
        for name, slot in options.rewards.items()
    }
    return {
        "base": str(model.data.get("base_id") or model.name),
        "base_pin": model.pin,
        **LoraTuning(options).card(),
        "method": "reward_lora",
        "gradients": options.method,
        "rewards": rewards,
        "prediction": loop.task.grid.prediction,
        "steps": loop.step,
        "kept_step": loop.best_step if picked else loop.step,
        "samples": loop.step * loop.task.sampler.batch,
        "seed": context.seed,
        "prompts": len(given.prompts),
        "images": len(given.train),
        "heldout_images": len(given.heldout),
        "heldout_before": loop.before,
        "skills": dict(sorted(Counter(prompt.skill for prompt in given.prompts).items())),
    }

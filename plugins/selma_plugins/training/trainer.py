"""The trainers `lora`, `dora` and `full`: from an image set to an adapter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from selma_core.data import Entry, ImageItem
from selma_core.errors import UserError
from selma_core.protocols import Context, EncoderLearner, TextEncoder, TrainedAdapter, TrainJob
from selma_plugins.diffusion.embeddings import EmbeddingCache, warn_cut
from selma_plugins.diffusion.loading import denoiser_name, load_pipeline, model_folder
from selma_plugins.diffusion.matched import encoder_for, pair_card, passed_on
from selma_plugins.training.batches import Sampler
from selma_plugins.training.data import TrainingData
from selma_plugins.training.families import family_of
from selma_plugins.training.latents import LatentStore
from selma_plugins.training.loop import Loop
from selma_plugins.training.noise import Objective
from selma_plugins.training.options import DoraOptions, FullOptions, LoraOptions, TrainingOptions
from selma_plugins.training.sample_weights import sample_weights
from selma_plugins.training.split import hold_out, is_sided, may_flip
from selma_plugins.training.teaching import States, learner_of, learnt, named
from selma_plugins.training.tuning import LoraTuning, Tuning
from selma_plugins.training.whole_weights import DoraTuning, FullTuning

AUTOCAST = {"no": None, "fp16": torch.float16, "bf16": torch.bfloat16}


class DenoiserTrainer:
    """`selma_core.protocols.AdapterTrainer` for the denoisers of `selma_plugins.training.families`."""

    def __init__(self, options: TrainingOptions, tuning: Callable[[], Tuning]) -> None:
        self._options = options
        self._tuning = tuning

    def train(self, job: TrainJob) -> TrainedAdapter:
        """Trains on all images but those of the held-out prompts.

        Raises:
            ModelError: when the model is missing or broken. ArtifactError: for a broken image or start adapter, or one
            that was trained with another text encoder.
            UserError: for a model family, target or image set that cannot be trained on.
            StageError: when the loss is no number any more, or memory runs out.
        """
        from accelerate import Accelerator

        options, context, tuning = self._options, job.context, self._tuning()
        train, heldout = hold_out(job.images, options.heldout)
        _check(options, context, train, heldout)
        sample_weights(train, len(train), options.sample_weight)  # what cannot be weighed is said before loading
        accelerator = Accelerator(cpu=context.device == "cpu")
        device = accelerator.device if accelerator.num_processes > 1 else torch.device(context.device)
        autocast = AUTOCAST[precision_of(options.precision, device)]
        model = context.entry("models", options.model)
        pipeline = load_pipeline(model_folder(model), autocast or torch.float32)
        component = denoiser_name(pipeline)
        denoiser = getattr(pipeline, component)
        predict = family_of(denoiser)
        timesteps = (options.min_timestep, options.max_timestep)
        objective = Objective(pipeline.scheduler, options.min_snr, options.flow_sampling, timesteps)
        encoder = encoder_for(options.text_encoder, _start(job), context)
        learner = learner_of(encoder, pipeline.to(device), context.seed)
        with accelerator.main_process_first():  # the others then read what the first one cached
            data = _data(options, job, pipeline, [*train, *heldout], len(train), device, autocast, encoder, learner)
        weights = tuning.insert(denoiser, context.seed, job.images)
        if job.adapter is not None:
            tuning.start_from(job.adapter, component)
        denoiser.to(device).train()
        if options.gradient_checkpointing == "on":
            denoiser.enable_gradient_checkpointing()
        if options.batch_size * options.accumulation % accelerator.num_processes:
            raise UserError(f"batch_size x accumulation must be divisible by the {accelerator.num_processes} processes")
        loop = Loop(
            options=options,
            weights={**weights, **named(learner)},
            learner=learner,
            denoiser=accelerator.prepare(denoiser) if accelerator.num_processes > 1 else denoiser,
            predict=predict,
            objective=objective,
            data=data,
            accelerator=accelerator,
            device=device,
            autocast=autocast,
            workdir=context.workdir,
            progress=context.progress,
            warn=context.warn,
        )
        kept = loop.run()
        tensors = tuning.tensors({name: kept[name] for name in weights}, component)
        taught = passed_on(job.adapter) if learner is None else learnt(learner, kept)
        card = _card(options, tuning, job, model, loop, train, heldout)
        return TrainedAdapter(tensors=tensors, metadata=card, curve=tuple(loop.rows), encoder=taught)


class LoraTrainer(DenoiserTrainer):
    """`lora`."""

    def __init__(self, options: LoraOptions) -> None:
        super().__init__(options, lambda: LoraTuning(options))


class DoraTrainer(DenoiserTrainer):
    """`dora`."""

    def __init__(self, options: DoraOptions) -> None:
        super().__init__(options, lambda: DoraTuning(options))


class FullTrainer(DenoiserTrainer):
    """`full`."""

    def __init__(self, options: FullOptions) -> None:
        super().__init__(options, lambda: FullTuning(options))


def _data(
    options: TrainingOptions,
    job: TrainJob,
    pipeline: Any,
    items: Sequence[ImageItem],
    count: int,
    device: torch.device,
    autocast: torch.dtype | None,
    encoder: TextEncoder,
    learner: EncoderLearner | None,
) -> TrainingData:
    """Embeds every caption, encodes every image; then encoders and autoencoder leave the device."""
    total, context = options.steps, job.context
    pipeline.to(device)
    captions = sorted({item.prompt.text for item in items} | ({""} if options.caption_dropout else set()))
    warn_cut(pipeline, captions, context.warn, encoder)
    source = encoder if learner is None else States(learner)
    text = EmbeddingCache(source, pipeline, context.workdir / "text", limit=len(captions) + 1)
    for done, caption in enumerate(captions):
        text.get(caption)
        context.progress(0, total, f"captions {done + 1}/{len(captions)}")
    # fp32: SDXL's autoencoder overflows in fp16, and every image goes through it once only.
    vae = pipeline.vae if pipeline.vae.dtype is torch.float32 else pipeline.vae.to(torch.float32)
    latents = LatentStore(vae, items, options.resolution, context.workdir / "latents", keep=options.cache_latents)
    latents.fill(lambda done: context.progress(0, total, f"images {done}/{len(items)}"))
    pipeline.to("cpu")
    if not options.cache_latents:
        vae.to(device)
    first = latents.get(0).mean
    shape = (first.shape[1], first.shape[2], first.shape[3])
    return TrainingData(
        items=items,
        flips=torch.tensor([may_flip(item, options) for item in items]),
        heldout=range(count, len(items)),
        latents=latents,
        text=text,
        vae_config=pipeline.vae.config,
        sampler=Sampler(context.seed, count, options.batch_size * options.accumulation, shape, options.caption_dropout),
        dtype=autocast or torch.float32,
        random_crop=options.crop == "random",
        weights=sample_weights(items, count, options.sample_weight),
    )


def _start(job: TrainJob) -> tuple[Path, ...]:
    return () if job.adapter is None else (job.adapter,)


def _check(
    options: TrainingOptions, context: Context, train: Sequence[ImageItem], heldout: Sequence[ImageItem]
) -> None:
    if not train:
        raise UserError("there is no image to train on")
    if options.select == "heldout" and not heldout:
        raise UserError("select: heldout needs held-out prompts: raise 'heldout', or give more than one prompt")
    flipped = [item for item in train if is_sided(item.prompt.text) and may_flip(item, options)]
    if flipped:
        context.warn(
            f"{len(flipped)} of {len(train)} training images are mirrored at random although their prompts hold left, "
            f"right or text (first: '{flipped[0].prompt.text[:60]}'); set flip_sided: false to leave them as they are"
        )


def precision_of(name: str, device: torch.device) -> str:
    """`no`, `fp16` or `bf16`: what the option `precision` means on a device."""
    if name != "auto":
        return name
    if device.type != "cuda":
        return "no"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"


def _card(
    options: TrainingOptions,
    tuning: Tuning,
    job: TrainJob,
    model: Entry,
    loop: Loop,
    train: Sequence[ImageItem],
    heldout: Sequence[ImageItem],
) -> dict[str, Any]:
    picked, learner = options.select == "heldout" and bool(loop.best), loop.learner
    return {
        "base": str(model.data.get("base_id") or model.name),
        "base_pin": model.pin,
        **tuning.card(),
        **pair_card(options.text_encoder, _start(job), job.context, None if learner is None else learner.about),
        "prediction": loop.objective.prediction,
        "timesteps": [options.min_timestep, options.max_timestep],
        "steps": loop.step,
        "kept_step": loop.best_step if picked else loop.step,
        "samples": loop.step * loop.data.sampler.batch,
        **({"sample_weight": options.sample_weight} if options.sample_weight else {}),
        "seed": job.context.seed,
        "images": len(train),
        "heldout_images": len(heldout),
        "heldout_before": loop.before,
        "skills": dict(sorted(Counter(item.prompt.skill for item in train).items())),
    }

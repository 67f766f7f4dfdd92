"""The trainer `reward_lora`: from prompts and rewards to an adapter."""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs
import torch

from selma_core.data import Entry
from selma_core.errors import UserError
from selma_core.protocols import Context, TrainedAdapter, TrainJob
from selma_plugins.diffusion.fuse import fuse
from selma_plugins.diffusion.loading import denoiser_name, load_pipeline, model_folder
from selma_plugins.diffusion.matched import pair_card, passed_on
from selma_plugins.reward_training.combine import together
from selma_plugins.reward_training.ddim import make_grid
from selma_plugins.reward_training.judging import Judges
from selma_plugins.reward_training.loop import RewardLoop, Task
from selma_plugins.reward_training.options import RewardLoraOptions
from selma_plugins.reward_training.prepare import Given, embed, factor_of, ordinary_data, prompts_of, start_of
from selma_plugins.training.families import family_of
from selma_plugins.training.noise import Objective
from selma_plugins.training.trainer import AUTOCAST, precision_of
from selma_plugins.training.tuning import LoraTuning


class RewardLoraTrainer:
    """`selma_core.protocols.AdapterTrainer`: draws the prompts, and follows the gradients of what judges say of it."""

    def __init__(self, options: RewardLoraOptions) -> None:
        self._options = options

    def train(self, job: TrainJob) -> TrainedAdapter:
        """Trains a new adapter over the base with the start adapter fused; gives both together, as one.

        Raises:
            ModelError: when the model is missing or broken. ArtifactError: for a broken image or start adapter, or one
            that was trained with another text encoder.
            UserError: for a model, a reward or a prompt set that cannot be trained on.
            StageError: when the loss is no number any more, or memory runs out.
        """
        from accelerate import Accelerator

        options, context, tuning = self._options, job.context, LoraTuning(self._options)
        given = prompts_of(options, job)
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
        text = embed(options, job, pipeline, given, device)
        data = ordinary_data(options, context, pipeline, given, text, device, autocast or torch.float32)
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
                side=data.sampler.shape[-1] * factor_of(pipeline),
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
        card |= pair_card(options.text_encoder, start_of(job), context)
        return TrainedAdapter(tensors=tensors, metadata=card, curve=tuple(loop.rows), encoder=passed_on(job.adapter))


def _card(options: RewardLoraOptions, context: Context, model: Entry, loop: RewardLoop, given: Given) -> dict[str, Any]:
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

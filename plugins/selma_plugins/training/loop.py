"""The training loop: steps, held-out loss, averaged weights, checkpoints. Resumes bit by bit on the CPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import nn

from selma_core.errors import StageError, UserError
from selma_core.protocols import EncoderLearner
from selma_core.seeds import derive_seed
from selma_plugins.training.batches import Draws
from selma_plugins.training.checkpoint import (
    load_checkpoint,
    pack_optimizer,
    prefixed,
    save_checkpoint,
    under,
    unpack_optimizer,
)
from selma_plugins.training.data import TrainingData
from selma_plugins.training.families import Batch, Predict
from selma_plugins.training.noise import Objective
from selma_plugins.training.options import TrainingOptions


@attrs.define(kw_only=True)
class Loop:
    """One training run.

    Attributes:
        options: of the trainer. weights: the trainable ones by name. denoiser: may be wrapped for several processes.
        predict, objective, data: what is computed. accelerator: of accelerate; device: where. workdir: for checkpoints.
        progress, warn: to the user. learner: what of the text encoder learns too, its weights being among `weights`;
        the embeddings of `data` are then its states. rows: of the curve. step: steps done. best: (held-out loss, step,
        weights) so far.
    """

    options: TrainingOptions
    weights: Mapping[str, nn.Parameter]
    denoiser: Any
    predict: Predict
    objective: Objective
    data: TrainingData
    accelerator: Any
    device: torch.device
    autocast: torch.dtype | None
    workdir: Path
    progress: Callable[[int, int, str], None]
    warn: Callable[[str], None]
    learner: EncoderLearner | None = None
    optimizer: torch.optim.Optimizer = attrs.field(init=False)
    scaler: torch.amp.GradScaler = attrs.field(init=False)
    average: dict[str, torch.Tensor] = attrs.field(factory=dict)
    best: dict[str, torch.Tensor] = attrs.field(factory=dict)
    best_loss: float = math.inf
    best_step: int = 0
    before: float | None = None
    step: int = 0
    rows: list[dict[str, float]] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        o = self.options
        self.optimizer = torch.optim.AdamW(
            list(self.weights.values()),
            lr=o.lr,
            betas=(o.beta1, o.beta2),
            weight_decay=o.weight_decay,
            eps=o.epsilon,
            fused=self.device.type == "cuda",
        )
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.autocast is torch.float16)

    def run(self) -> dict[str, torch.Tensor]:
        """Trains to the last step; returns the weights that the options select."""
        self._resume()
        if self.step == 0 and self.data.heldout:
            self.before = self._heldout()
        window = torch.zeros((), device=self.device)
        since = self.step
        while self.step < self.options.steps:
            window += self._safe_step()
            self.step += 1
            if not self._at(self.options.log_every) and not self._at(self.options.save_every):
                self.progress(self.step, self.options.steps, "")
                continue
            self._log(window, self.step - since)
            window, since = torch.zeros((), device=self.device), self.step
            if self._at(self.options.save_every):
                self._measure_and_save()
        return dict(self.best) if self.options.select == "heldout" and self.best else self._kept()

    def rate(self, step: int) -> float:
        """The learning rate of a step (from 0): warm-up, then constant, linear or cosine to 0."""
        o = self.options
        if step < o.warmup:
            return o.lr * (step + 1) / o.warmup
        done = (step - o.warmup) / max(1, o.steps - o.warmup)
        shapes = {"constant": 1.0, "linear": 1.0 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}
        return o.lr * shapes[o.lr_schedule]

    # --- one step -----------------------------------------------------------------------------------------

    def _safe_step(self) -> torch.Tensor:
        """A step; when memory runs out and the options allow it, once more with gradient checkpointing."""
        try:
            return self._one_step()
        except torch.cuda.OutOfMemoryError:
            inner = self.accelerator.unwrap_model(self.denoiser)
            if self.options.gradient_checkpointing != "auto" or inner.is_gradient_checkpointing:
                raise StageError("the GPU is out of memory; lower 'batch_size' and raise 'accumulation'") from None
            self.optimizer.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
            inner.enable_gradient_checkpointing()
            self.warn("the GPU ran out of memory: gradient checkpointing is now on (a third slower)")
            return self._one_step()

    def _one_step(self) -> torch.Tensor:
        draws = self.data.sampler.draw(self.step)
        count = self.data.sampler.batch
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        mine = torch.arange(rank, count, world)
        parts = torch.split(mine, self.options.batch_size)
        total = torch.zeros((), device=self.device)
        for number, part in enumerate(parts):
            with self._sync(last=number == len(parts) - 1):
                loss = self._loss(draws, part) * (len(part) / len(mine))
                torch.autograd.backward(self.scaler.scale(loss))
            total += loss.detach()
        self._update()
        return total

    def _loss(self, draws: Draws, part: torch.Tensor) -> torch.Tensor:
        clean, batch_of = self.data.batch(draws, part, self.device)
        noise = draws.noise[part] + self.options.noise_offset * draws.offset[part]
        made = self.objective.noise(
            clean, noise.to(self.device), self.objective.levels(draws.level[part]).to(self.device)
        )
        # A step's dropout depends on the step and the part only, like everything else that is drawn.
        seed = derive_seed("encoder-dropout", self.data.sampler.seed, self.step, int(part[0]))
        with self._precision():
            answer = self.predict(self.denoiser, self._read(batch_of(made.noisy, made.timesteps), seed))
        errors = (answer.float() - made.target).square().flatten(1).mean(1)
        weight = made.weight if self.data.weights is None else made.weight * self._reward(draws, part)
        return (errors * weight).mean()

    def _read(self, batch: Batch, seed: int | None) -> Batch:
        """The batch with what the text encoder makes of its states now; `seed` of dropout."""
        if self.learner is None:
            return batch
        text = self.learner.adapt(batch.text, seed)
        return attrs.evolve(batch, text=text)

    def _reward(self, draws: Draws, part: torch.Tensor) -> torch.Tensor:
        assert self.data.weights is not None
        return self.data.weights[draws.index[part]].to(self.device)

    def _update(self) -> None:
        weights = list(self.weights.values())
        self._share_gradients()
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step)
        if self.options.clip:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(weights, self.options.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.options.ema:
            self._average()

    def _share_gradients(self) -> None:
        """The denoiser's gradients are exchanged between processes by its wrapper, the encoder's are not."""
        if self.learner is None or self.accelerator.num_processes == 1:
            return
        for weight in self.learner.weights.values():
            weight.grad = self.accelerator.reduce(weight.grad, "mean")

    @torch.no_grad()
    def _average(self) -> None:
        """An exponential mean of the weights; its decay rises from 0, so that the start weighs nothing later on."""
        if not self.average:
            self.average = {name: weight.detach().clone() for name, weight in self.weights.items()}
            return
        decay = min(self.options.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.average.values()), [w.detach() for w in self.weights.values()], 1 - decay)

    # --- measuring ----------------------------------------------------------------------------------------

    def _log(self, window: torch.Tensor, steps: int) -> None:
        loss = float(self.accelerator.reduce(window, "mean")) / max(1, steps)
        if not math.isfinite(loss):
            raise StageError(f"the loss is {loss} at step {self.step}: lower 'lr', or set precision to bf16 or no")
        self.rows.append({"step": self.step, "loss": loss, "lr": self.rate(self.step - 1)})
        self.progress(self.step, self.options.steps, f"loss {loss:.4f}")

    def _measure_and_save(self) -> None:
        if self.data.heldout:
            found = self._heldout()
            self.rows[-1]["heldout"] = found
            if found < self.best_loss:
                self.best_loss, self.best_step, self.best = found, self.step, self._kept()
        if self.accelerator.is_main_process and self.step < self.options.steps:
            self._save()

    @torch.no_grad()
    def _heldout(self) -> float:
        """Mean squared error on held-out images at fixed noise and levels, with the weights that would be kept."""
        now = {name: weight.detach().clone() for name, weight in self.weights.items()}
        self._put(self.average or now)
        losses = []
        for draws, part in self.data.fixed(self.options.batch_size):
            losses.append(self._loss_fixed(draws, part))
        self._put(now)
        return float(torch.cat(losses).mean())

    def _loss_fixed(self, draws: Draws, part: torch.Tensor) -> torch.Tensor:
        clean, batch_of = self.data.batch(draws, part, self.device, heldout=True)
        levels = self.objective.within(draws.level[part])
        made = self.objective.noise(clean, draws.noise[part].to(self.device), levels.to(self.device))
        with self._precision():
            answer = self.predict(self.denoiser, self._read(batch_of(made.noisy, made.timesteps), None))
        return (answer.float() - made.target).square().flatten(1).mean(1).cpu()

    # --- state --------------------------------------------------------------------------------------------

    def _save(self) -> None:
        names = {id(weight): name for name, weight in self.weights.items()}
        tensors = {
            **prefixed("weight", self.weights),
            **prefixed("optimizer", pack_optimizer(self.optimizer, names)),
            **prefixed("average", self.average),
            **prefixed("best", self.best),
        }
        values = {
            "rows": self.rows,
            "before": self.before,
            "best": [None if math.isinf(self.best_loss) else self.best_loss, self.best_step],
            "scaler": self.scaler.state_dict(),
        }
        save_checkpoint(self.workdir, self.step, tensors, values)

    def _resume(self) -> None:
        found = load_checkpoint(self.workdir)
        if found is None:
            return
        self.step, tensors, values = found
        self._put(under("weight", tensors))
        unpack_optimizer(self.optimizer, list(self.weights), under("optimizer", tensors))
        average = under("average", tensors)  # a file's order is not the weights'
        self.average = {name: average[name].to(self.device) for name in self.weights} if average else {}
        self.best = {name: value.to(self.device) for name, value in under("best", tensors).items()}
        self.rows, self.before = values["rows"], values["before"]
        self.best_loss = math.inf if values["best"][0] is None else values["best"][0]
        self.best_step = values["best"][1]
        if values["scaler"]:
            self.scaler.load_state_dict(values["scaler"])

    @torch.no_grad()
    def _put(self, values: Mapping[str, torch.Tensor]) -> None:
        if set(values) != set(self.weights):
            raise UserError(f"{self.workdir}: its checkpoint is of another adapter; delete the folder and run again")
        for name, weight in self.weights.items():
            weight.copy_(values[name])

    def _kept(self) -> dict[str, torch.Tensor]:
        source: Mapping[str, torch.Tensor] = self.average or self.weights
        return {name: value.detach().clone() for name, value in source.items()}

    # --- small things -------------------------------------------------------------------------------------

    def _at(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.options.steps

    def _sync(self, *, last: bool) -> AbstractContextManager[Any]:
        """Gradients are exchanged between processes once per step, not once per forward pass."""
        return nullcontext() if last else self.accelerator.no_sync(self.denoiser)

    def _precision(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.autocast is None else torch.autocast(self.device.type, dtype=self.autocast)

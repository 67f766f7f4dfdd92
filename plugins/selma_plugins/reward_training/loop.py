"""The loop of `reward_lora`: that of `lora`, with another loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from selma_plugins.diffusion.embeddings import EmbeddingCache
from selma_plugins.reward_training.ddim import Grid
from selma_plugins.reward_training.judging import Judged, Judges
from selma_plugins.reward_training.options import RewardLoraOptions
from selma_plugins.reward_training.rollout import both_halves, draw, guided, pictures, route_of
from selma_plugins.training.batches import Draws, Sampler
from selma_plugins.training.data import moved
from selma_plugins.training.families import Batch
from selma_plugins.training.loop import Loop


@attrs.frozen(kw_only=True)
class Task:
    """What is drawn and rewarded.

    Attributes:
        texts: the prompts. text: their embeddings. sampler: which of them a step draws, from which noise.
        grid: the denoising steps. vae: decodes. judges: the rewards. side: pixels of a picture.
        seed: of the run. dtype: of what the denoiser is given.
    """

    texts: Sequence[str]
    text: EmbeddingCache
    sampler: Sampler
    grid: Grid
    vae: Any
    judges: Judges
    side: int
    seed: int
    dtype: torch.dtype


@attrs.define(kw_only=True)
class RewardLoop(Loop):
    """One run; see `Loop`. Its `data` is for the ordinary loss: of `sft`, and of held-out images.

    Attributes: sums = of what the curve's next row shows; seen = pictures in them.
    """

    options: RewardLoraOptions
    task: Task
    sums: dict[str, torch.Tensor] = attrs.field(factory=dict)
    seen: int = 0

    def _loss(self, draws: Draws, part: torch.Tensor) -> torch.Tensor:
        """Of the pictures `part` of this step."""
        options = self.options
        own = self.task.sampler.draw(self.step)
        texts = [self.task.texts[i] for i in own.index[part].tolist()]
        judged, distance = self._judge(texts, own.noise[part].to(self.device))
        short = 1 - judged.total if options.margin is None else (options.margin - judged.total).relu()
        loss = options.loss_scale * short.mean()
        self._count({"reward": judged.total.detach(), **judged.parts}, len(part))
        if options.kl:
            loss = loss + options.kl * distance.mean()
            self._count({"kl": distance.detach()})
        if options.sft:
            ordinary = super()._loss(draws, part)
            loss = loss + options.sft * ordinary
            self._count({"sft": ordinary.detach().expand(len(part))})
        return loss

    def _judge(self, texts: Sequence[str], noise: torch.Tensor) -> tuple[Judged, torch.Tensor]:
        options, task = self.options, self.task
        prompts = task.text.batch(texts)
        lone = options.guidance == 1
        given = prompts if lone else both_halves(task.text.batch([""] * len(texts)), prompts)
        text = moved(given, self.device, task.dtype)
        sizes = torch.tensor([[task.side, task.side, 0, 0, task.side, task.side]], device=self.device)

        def answer(x: torch.Tensor, timestep: int) -> torch.Tensor:
            noisy = (x if lone else torch.cat([x, x])).to(task.dtype)
            times = torch.full((len(noisy),), timestep, device=self.device)
            with self._precision():
                found = self.predict(self.denoiser, Batch(noisy, times, text, sizes.expand(len(noisy), 6)))
            return found.float() if lone else guided(found.float(), options.guidance)

        def reference(x: torch.Tensor, timestep: int) -> torch.Tensor:
            with untrained(self.denoiser):
                return answer(x, timestep)

        latents, distance = draw(
            task.grid,
            route_of(options, task.seed, self.step),
            noise,
            answer,
            reference if options.kl else None,
            save=options.gradient_checkpointing != "off",
        )
        return task.judges(pictures(task.vae, latents), texts), distance

    def _count(self, values: dict[str, torch.Tensor], pictures: int = 0) -> None:
        self.seen += pictures
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, torch.zeros((), device=self.device)) + value.sum()

    def _log(self, window: torch.Tensor, steps: int) -> None:
        """The row has the mean reward, each reward and its parts too."""
        super()._log(window, steps)
        self.rows[-1] |= {name: float(value) / max(1, self.seen) for name, value in self.sums.items()}
        self.progress(self.step, self.options.steps, f"reward {self.rows[-1]['reward']:.4f}")
        self.sums, self.seen = {}, 0


@contextmanager
def untrained(denoiser: nn.Module) -> Iterator[None]:
    """The denoiser without the adapter that learns."""
    layers = [module for module in denoiser.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)

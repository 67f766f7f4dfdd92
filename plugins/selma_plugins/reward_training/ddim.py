"""DDIM without noise, in fp32, on the schedule that a model was trained with."""

from __future__ import annotations

from typing import Any

import attrs
import torch
from diffusers import DDPMScheduler

from selma_core.errors import UserError


@attrs.frozen
class Grid:
    """The steps of a drawing, from noise to picture.

    Attributes:
        timesteps: from high to low; of 1,000 levels and 50 steps 999, 979, ..., 19.
        signals: sqrt(alpha_bar) at each; spreads: sqrt(1 - alpha_bar); both computed in double precision.
        prediction: `epsilon`, `v_prediction` or `sample`.
    """

    timesteps: tuple[int, ...]
    signals: tuple[float, ...]
    spreads: tuple[float, ...]
    prediction: str

    def clean(self, place: int, x: torch.Tensor, answer: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(predicted clean latents, predicted noise) from the denoiser's answer at step `place`."""
        signal, spread = self.signals[place], self.spreads[place]
        if self.prediction == "epsilon":
            return (x - spread * answer) / signal, answer
        if self.prediction == "v_prediction":
            return signal * x - spread * answer, signal * answer + spread * x
        return answer, (x - signal * answer) / spread

    def onward(self, place: int, clean: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """The latents that step `place + 1` is given."""
        return self.signals[place + 1] * clean + self.spreads[place + 1] * noise


def make_grid(scheduler: Any, count: int) -> Grid:
    """The grid of `count` steps on a scheduler's schedule, spaced backwards from its last level.

    Raises:
        UserError: a flow model has no such schedule; or there are more steps than levels.
    """
    config = scheduler.config
    if type(scheduler).__name__.startswith("FlowMatch") or config.get("use_flow_sigmas", False):
        raise UserError(f"reward_lora draws by DDIM, which a {type(scheduler).__name__} has no coefficients for")
    prediction = str(config.get("prediction_type", "epsilon"))
    if prediction not in {"epsilon", "v_prediction", "sample"}:
        raise UserError(f"scheduler of prediction type '{prediction}': it cannot be trained on yet")
    bars = DDPMScheduler.from_config(config).alphas_cumprod.double()
    if count > len(bars):
        raise UserError(f"draw_steps: {count} is more than the {len(bars)} noise levels of the model")
    timesteps = tuple(round(len(bars) - i * len(bars) / count) - 1 for i in range(count))
    found = bars[list(timesteps)]
    if prediction == "epsilon" and float(found[0]) == 0:
        raise UserError("the schedule ends in pure noise (zero SNR), from which a predicted noise tells nothing")
    return Grid(timesteps, tuple(found.sqrt().tolist()), tuple((1 - found).sqrt().tolist()), prediction)

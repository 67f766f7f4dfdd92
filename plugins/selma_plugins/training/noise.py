"""What the denoiser sees and should answer, by the scheduler's config: epsilon, v, sample, or flow."""

from __future__ import annotations

from typing import Any

import attrs
import torch
from diffusers import DDPMScheduler

from selma_core.errors import UserError

LEVELS = 1000


@attrs.frozen
class Noised:
    """Attributes: noisy, target [B, ...]; timesteps [B] as the denoiser takes them; weight [B] of the squared error."""

    noisy: torch.Tensor
    target: torch.Tensor
    timesteps: torch.Tensor
    weight: torch.Tensor


class Objective:
    """The forward process of a pipeline's scheduler.

    Args:
        scheduler: of the pipeline. min_snr: gamma of min-SNR weighting, 0 = none.
        sampling: how noise levels of flow models are drawn.
        timesteps: (first, end) in 0..1000 of those trained on; of flow models sigma times 1000.

    Raises:
        UserError: for a kind of prediction that is not known, or min-SNR on a flow model.
    """

    def __init__(
        self,
        scheduler: Any,
        min_snr: float = 0.0,
        sampling: str = "logit_normal",
        timesteps: tuple[int, int] = (0, LEVELS),
    ) -> None:
        config = scheduler.config
        self.flow = type(scheduler).__name__.startswith("FlowMatch") or config.get("use_flow_sigmas", False)
        self._min_snr, self._sampling = min_snr, sampling
        if self.flow:
            self.prediction = "flow"
            self._shift = 1.0 if config.get("use_dynamic_shifting") else float(config.get("shift") or 1.0)
        else:
            ddpm = DDPMScheduler.from_config(config)
            self.prediction = str(config.get("prediction_type", "epsilon"))
            self._alphas: torch.Tensor = ddpm.alphas_cumprod.float()
        if self.prediction not in {"epsilon", "v_prediction", "sample", "flow"}:
            raise UserError(f"scheduler of prediction type '{self.prediction}': it cannot be trained on yet")
        if self.flow and min_snr:
            raise UserError("min_snr is for epsilon, v and sample prediction; leave it 0 for flow models")
        self._ends = (self._level(timesteps[0] / LEVELS), self._level(timesteps[1] / LEVELS))

    def levels(self, uniform: torch.Tensor) -> torch.Tensor:
        """Noise levels within the timesteps trained on, from numbers uniform in (0, 1).

        Evenly spread, or logit-normal for flow models (cut off where the timesteps end).
        """
        if not (self.flow and self._sampling == "logit_normal"):
            return self.within(uniform)
        low, high = torch.special.ndtr(torch.logit(torch.tensor(self._ends, dtype=torch.float64)))
        even = low + (high - low) * uniform.double().clamp(1e-6, 1 - 1e-6)
        levels: torch.Tensor = torch.sigmoid(torch.special.ndtri(even))
        return levels.clamp(*self._ends).float()

    def within(self, shares: torch.Tensor) -> torch.Tensor:
        """Noise levels at these shares, in [0, 1), of the way through the timesteps trained on."""
        low, high = self._ends
        return (low + (high - low) * shares.double()).float()

    def noise(self, clean: torch.Tensor, noise: torch.Tensor, levels: torch.Tensor) -> Noised:
        """Mixes `clean` and `noise` [B, ...] at `levels` [B] in [0, 1)."""
        return self._flow(clean, noise, levels) if self.flow else self._diffuse(clean, noise, levels)

    def _flow(self, clean: torch.Tensor, noise: torch.Tensor, levels: torch.Tensor) -> Noised:
        sigma = self._shift * levels / (1 + (self._shift - 1) * levels)
        mix = _wide(sigma, clean)
        noisy = (1 - mix) * clean + mix * noise
        return Noised(noisy, noise - clean, sigma * LEVELS, torch.ones_like(sigma))

    def _level(self, timestep: float) -> float:
        """The level of a timestep in [0, 1]: the same, but where flow models shift their sigmas."""
        return timestep / (self._shift - (self._shift - 1) * timestep) if self.flow else timestep

    def _diffuse(self, clean: torch.Tensor, noise: torch.Tensor, levels: torch.Tensor) -> Noised:
        alphas = self._alphas.to(clean.device)
        timesteps = (levels * len(alphas)).long().clamp(max=len(alphas) - 1)
        alpha = alphas[timesteps]
        signal, spread = _wide(alpha.sqrt(), clean), _wide((1 - alpha).sqrt(), clean)
        noisy = signal * clean + spread * noise
        targets = {
            "epsilon": lambda: noise,
            "sample": lambda: clean,
            "v_prediction": lambda: signal * noise - spread * clean,
        }
        return Noised(noisy, targets[self.prediction](), timesteps, self._weight(alpha))

    def _weight(self, alpha: torch.Tensor) -> torch.Tensor:
        """min-SNR-gamma (arXiv 2303.09556): min(SNR, gamma) over what the kind of prediction already weighs by."""
        if not self._min_snr:
            return torch.ones_like(alpha)
        snr = alpha / (1 - alpha)
        divisor = {"epsilon": snr, "v_prediction": snr + 1, "sample": torch.ones_like(snr)}[self.prediction]
        return snr.clamp(max=self._min_snr) / divisor.clamp(min=1e-8)


def _wide(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.to(like.dtype).view(-1, *[1] * (like.dim() - 1))

"""The weighted sum of several rewards, and what each of them is made of."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import torch

from selma_core.errors import StageError, UserError
from selma_core.protocols import Context, Reward, RewardInParts
from selma_core.rewards import KEY
from selma_plugins.reward_training.options import RewardLoraOptions


@attrs.frozen
class Judged:
    """Attributes: total [B] with its gradient. parts: name -> [B] without: `<reward>`, `<reward>.<part>`."""

    total: torch.Tensor
    parts: dict[str, torch.Tensor]


class Judges:
    """The rewards of a run, by the names that the options give them."""

    def __init__(self, options: RewardLoraOptions, context: Context) -> None:
        self._rewards: dict[str, Reward] = {name: context.reward(slot) for name, slot in options.rewards.items()}
        self._weights = {name: options.weights.get(name, 1.0) for name in options.rewards}

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> Judged:
        """images [B, 3, H, W] in [0, 1], B prompts.

        Raises:
            UserError: a reward has no gradient to the images. StageError: one gave other than B numbers.
        """
        total = torch.zeros(len(images), device=images.device)
        parts: dict[str, torch.Tensor] = {}
        for name, reward in self._rewards.items():
            found = dict(reward.parts(images, prompts)) if isinstance(reward, RewardInParts) else {}
            values = found.pop(KEY) if found else reward(images, prompts)
            _check(name, values, images)
            total = total + self._weights[name] * values.to(total)
            parts[name] = values.detach()
            parts |= {f"{name}.{part}": value.detach() for part, value in found.items()}
        return Judged(total, parts)


def _check(name: str, values: torch.Tensor, images: torch.Tensor) -> None:
    if values.shape != (len(images),):
        raise StageError(f"reward '{name}' gave {tuple(values.shape)} for {len(images)} images")
    if images.requires_grad and not values.requires_grad:
        raise UserError(f"reward '{name}' has no gradient to the image; reward_lora learns from nothing else")

"""What happens in a step, as a pure function of (seed, step): which samples, flips, noise, levels, dropped captions.

Nothing is carried from step to step, so a resumed run equals an uninterrupted one without storing any generator, and
the split of a step over forward passes or processes changes no draw.
"""

from __future__ import annotations

from functools import lru_cache

import attrs
import torch

from selma_core.seeds import derive_seed


@attrs.frozen
class Draws:
    """The random numbers of one step of B samples, on the CPU.

    Attributes:
        index [B]: which sample. flip, drop [B] bool. level [B] in (0, 1).
        crop [B, 2] in [0, 1): where a random crop lies in the room it has, down and across.
        posterior, noise [B, C, h, w]; offset [B, C, 1, 1]: standard normal.
    """

    index: torch.Tensor
    flip: torch.Tensor
    drop: torch.Tensor
    level: torch.Tensor
    posterior: torch.Tensor
    noise: torch.Tensor
    offset: torch.Tensor
    crop: torch.Tensor


@attrs.frozen
class Sampler:
    """Draws for the steps of one run.

    Attributes:
        seed: of the run. count: samples in the set. batch: samples per step. shape: (C, h, w) of a latent.
        dropout: share of dropped captions.
    """

    seed: int
    count: int
    batch: int
    shape: tuple[int, int, int]
    dropout: float = 0.0

    def draw(self, step: int) -> Draws:
        """The draws of one step."""
        stream = torch.Generator("cpu").manual_seed(derive_seed("train-step", self.seed, step))
        full = (self.batch, *self.shape)
        return Draws(
            index=self._indices(step),
            flip=torch.rand(self.batch, generator=stream) < 0.5,
            drop=torch.rand(self.batch, generator=stream) < self.dropout,
            level=torch.rand(self.batch, generator=stream),
            posterior=torch.randn(full, generator=stream),
            noise=torch.randn(full, generator=stream),
            offset=torch.randn(self.batch, self.shape[0], 1, 1, generator=stream),
            crop=torch.rand(self.batch, 2, generator=stream),  # the last, so that it moves no other draw
        )

    def _indices(self, step: int) -> torch.Tensor:
        """Each epoch is a new permutation of all samples; steps run through the epochs without a gap."""
        places = range(step * self.batch, (step + 1) * self.batch)
        orders = {epoch: _permutation(self.seed, epoch, self.count) for epoch in {p // self.count for p in places}}
        return torch.stack([orders[place // self.count][place % self.count] for place in places])


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, count: int) -> torch.Tensor:
    stream = torch.Generator("cpu").manual_seed(derive_seed("train-order", seed, epoch))
    return torch.randperm(count, generator=stream)

"""The samples of a run as tensors: latents drawn from the moments, embeddings, sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import torch

from selma_core.data import ImageItem
from selma_core.protocols import Embeddings
from selma_core.seeds import derive_seed
from selma_plugins.diffusion.embeddings import EmbeddingCache
from selma_plugins.training.batches import Draws, Sampler
from selma_plugins.training.families import Batch
from selma_plugins.training.latents import LatentStore, scaled

# Where the held-out loss is measured: the middles of four equal parts of the noise levels.
LEVELS = (0.125, 0.375, 0.625, 0.875)
HELDOUT_LIMIT = 64

BatchOf = Callable[[torch.Tensor, torch.Tensor], Batch]


@attrs.frozen(kw_only=True)
class TrainingData:
    """What the loop reads.

    Attributes:
        items: all images, the training ones first. flips: may image i be mirrored. heldout: indices held out.
        latents: one entry per item. text: embeddings by caption. vae_config: for scaling. sampler: of the run.
        dtype: of latents and embeddings given to the denoiser. random_crop: of training samples; else the centre.
        weights: of each item's loss [N] fp32; None = all alike.
    """

    items: Sequence[ImageItem]
    flips: torch.Tensor
    heldout: range
    latents: LatentStore
    text: EmbeddingCache
    vae_config: Any
    sampler: Sampler
    dtype: torch.dtype
    random_crop: bool = False
    weights: torch.Tensor | None = None

    def batch(
        self, draws: Draws, part: torch.Tensor, device: torch.device, *, heldout: bool = False
    ) -> tuple[torch.Tensor, BatchOf]:
        """Clean latents [b, C, h, w] of the samples `part` of a step, and how to make the denoiser's batch of them."""
        index = draws.index[part].tolist()
        places = [None] * len(index) if heldout or not self.random_crop else draws.crop[part].tolist()
        moments = [self.latents.get(i, place) for i, place in zip(index, places, strict=True)]
        flip = (draws.flip[part] & self.flips[draws.index[part]]).long()
        mean = torch.stack([m.mean[f] for m, f in zip(moments, flip, strict=True)])
        spread = torch.stack([m.logvar[f] for m, f in zip(moments, flip, strict=True)]).mul(0.5).exp()
        clean = mean if heldout else mean + spread * draws.posterior[part]
        texts = ["" if drop else self.items[i].prompt.text for i, drop in zip(index, draws.drop[part], strict=True)]
        text = moved(self.text.batch(texts), device, self.dtype)
        sizes = torch.stack([m.size[f] for m, f in zip(moments, flip, strict=True)]).to(device)
        clean = scaled(self.vae_config, clean).to(device, torch.float32)
        return clean, lambda noisy, timesteps: Batch(noisy.to(self.dtype), timesteps, text, sizes)

    def fixed(self, size: int) -> Iterator[tuple[Draws, torch.Tensor]]:
        """Fixed draws for the held-out images at every level, and the parts of `size` to take them in.

        The noise depends on the image and the level only, so that losses of different runs can be compared.
        """
        held = list(self.heldout)[:HELDOUT_LIMIT]
        pairs = [(i, level) for i in held for level in LEVELS]
        shape = self.sampler.shape
        noise = torch.stack([_fixed_noise(self.items[i].sha256, level, shape) for i, level in pairs])
        none = torch.zeros(len(pairs), dtype=torch.bool)
        draws = Draws(
            index=torch.tensor([i for i, _ in pairs]),
            flip=none,
            drop=none,
            level=torch.tensor([level for _, level in pairs]),
            posterior=torch.zeros_like(noise),
            noise=noise,
            offset=torch.zeros(len(pairs), shape[0], 1, 1),
            crop=torch.zeros(len(pairs), 2),
        )
        for part in torch.split(torch.arange(len(pairs)), size):
            yield draws, part


def _fixed_noise(sha256: str, level: float, shape: tuple[int, int, int]) -> torch.Tensor:
    stream = torch.Generator("cpu").manual_seed(derive_seed("heldout", sha256, str(level)))
    return torch.randn(shape, generator=stream)


def moved(text: Embeddings, device: torch.device, dtype: torch.dtype) -> Embeddings:
    """Embeddings on a device, in a type; `raw` keeps its own."""
    return Embeddings(
        hidden=text.hidden.to(device, dtype),
        pooled=None if text.pooled is None else text.pooled.to(device, dtype),
        mask=None if text.mask is None else text.mask.to(device),
        raw=None if text.raw is None else text.raw.to(device),  # for fp32 weights
    )

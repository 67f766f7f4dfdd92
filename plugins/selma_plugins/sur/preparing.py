"""Prompts as embeddings and images as latents, made once before the adapter's training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import torch

from selma_core.data import ImageItem
from selma_core.protocols import Embeddings, TrainJob
from selma_plugins.diffusion.embeddings import EmbeddingCache, warn_cut
from selma_plugins.sur.encoder import SurEncoder
from selma_plugins.sur.options import SurOptions
from selma_plugins.training.batches import Sampler
from selma_plugins.training.data import TrainingData
from selma_plugins.training.latents import LatentStore
from selma_plugins.training.split import may_flip


@attrs.frozen(kw_only=True)
class _Plain:
    """The encoder underneath as a `TextEncoder`, with the mask of padding where it is wanted."""

    encoder: SurEncoder
    masked: bool

    def encode(self, pipeline: Any, prompts: Sequence[str]) -> Embeddings:
        found = self.encoder.plain(pipeline, prompts)
        if not self.masked:
            return found
        return Embeddings(hidden=found.hidden, mask=self.encoder.mask(pipeline, prompts, found))


def prepared(
    options: SurOptions,
    job: TrainJob,
    pipeline: Any,
    encoder: SurEncoder,
    items: Sequence[ImageItem],
    count: int,
    device: torch.device,
    autocast: torch.dtype | None,
) -> tuple[TrainingData, EmbeddingCache]:
    """Embeds every prompt, encodes every image; then encoders and autoencoder leave the device."""
    o, context = options, job.context
    plain = _Plain(encoder=encoder, masked=o.mask_padding)
    simples = sorted({item.prompt.text for item in items} | ({""} if o.caption_dropout else set()))
    complexes = sorted({str(item.prompt.meta["complex"]) for item in items}) if o.prompt_weight else []
    warn_cut(pipeline, [*simples, *complexes], context.warn)
    cache = EmbeddingCache(plain, pipeline, context.workdir / "text", limit=len(simples) + len(complexes) + 1)
    for done, text in enumerate([*simples, *complexes]):
        cache.get(text)
        context.progress(0, o.steps, f"prompts {done + 1}/{len(simples) + len(complexes)}")
    vae = pipeline.vae.to(torch.float32)
    latents = LatentStore(vae, items, o.resolution, context.workdir / "latents", keep=o.cache_latents)
    latents.fill(lambda done: context.progress(0, o.steps, f"images {done}/{len(items)}"))
    pipeline.to("cpu")
    if not o.cache_latents:
        vae.to(device)
    first = latents.get(0).mean
    shape = (first.shape[1], first.shape[2], first.shape[3])
    data = TrainingData(
        items=items,
        flips=torch.tensor([may_flip(item, o) for item in items]),
        heldout=range(count, len(items)),
        latents=latents,
        text=cache,
        vae_config=pipeline.vae.config,
        sampler=Sampler(context.seed, count, o.batch_size * o.accumulation, shape, o.caption_dropout),
        dtype=autocast or torch.float32,
        random_crop=o.crop == "random",
    )
    return data, cache

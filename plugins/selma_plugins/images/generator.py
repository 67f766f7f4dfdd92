"""Images by any diffusers pipeline, each from its own seed and prompt only.

On a CPU the bits of a convolution or matrix product depend on the size of the batch, but not on what else is in it nor
on the place in it. So the network always sees exactly `lanes` images there, the last group padded: the batch size, the
order of requests and a resume change no byte. On a GPU groups of `batch_size` are padded alike; images then agree
between batch sizes up to rounding only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch

from selma_core.data import ImageRequest
from selma_core.errors import UserError
from selma_core.protocols import Context, ImageJob
from selma_plugins.diffusion.embeddings import EmbeddingCache, used_text, warn_cut
from selma_plugins.diffusion.fuse import adapted, served
from selma_plugins.diffusion.loading import (
    denoiser_name,
    load_pipeline,
    model_folder,
    pick_dtype,
    swap_scheduler,
)
from selma_plugins.diffusion.matched import encoder_for
from selma_plugins.images.call import call_arguments, check_call
from selma_plugins.images.options import DiffusersOptions

if TYPE_CHECKING:
    from PIL.Image import Image


class DiffusersGenerator:
    """`selma_core.protocols.ImageGenerator` over diffusers pipelines."""

    def __init__(self, options: DiffusersOptions) -> None:
        self._options = options

    @property
    def images_per_prompt(self) -> int:
        """K."""
        return self._options.k

    def images(self, job: ImageJob) -> Iterator[tuple[ImageRequest, Image]]:
        """Yields each request with its RGB image, in order.

        Raises:
            ModelError: when the model is missing or broken. ArtifactError: when the adapter is for another model, or
            was trained with another text encoder than `text_encoder` names.
            UserError: for a scheduler or call option that does not exist.
        """
        options, context = self._options, job.context
        if not job.requests:
            return
        pipeline = prepare(options, context)
        adapters = job.adapters or ((job.adapter,) if job.adapter is not None else ())
        encoder = encoder_for(options.text_encoder, adapters, context)
        used = warn_cut(pipeline, [request.prompt.text for request in job.requests], context.warn, encoder)
        if len(used) == 1:  # a single picture: say how its prompt was read
            context.progress(0, len(job.requests), f"prompt: {used_text(used[0])}")
        cache = EmbeddingCache(encoder, pipeline)
        width = options.lanes if context.device == "cpu" else options.batch_size
        with self._adapted(pipeline, job):
            for start in range(0, len(job.requests), width):
                group = job.requests[start : start + width]
                for request, image in zip(group, self._draw(pipeline, cache, group, width), strict=False):
                    yield request, image.convert("RGB")

    def _adapted(self, pipeline: Any, job: ImageJob) -> AbstractContextManager[None]:
        options = self._options
        if job.adapters:
            weights = adapter_weights(options, len(job.adapters))
            return served(pipeline, job.adapters, [options.adapter_scale * w for w in weights])
        return adapted(pipeline, job.adapter, scale=options.adapter_scale, fused=options.adapter_mode == "fused")

    def _draw(self, pipeline: Any, cache: EmbeddingCache, group: Sequence[ImageRequest], width: int) -> list[Image]:
        lanes = [*group, *[group[-1]] * (width - len(group))]
        arguments = call_arguments(pipeline, self._options, cache, [lane.prompt.text for lane in lanes])
        # CPU generators: the same noise on every device, and one per image, so that no image depends on its batch.
        seeds = [torch.Generator("cpu").manual_seed(lane.seed) for lane in lanes]
        with torch.inference_mode():
            drawn: list[Image] = pipeline(**arguments, generator=seeds, output_type="pil").images
        return drawn


def adapter_weights(options: DiffusersOptions, count: int) -> list[float]:
    """The weight of each adapter that is served unmerged.

    Raises:
        UserError: when their number is not that of the adapters.
    """
    given = options.adapter_weights
    if given is not None and len(given) != count:
        raise UserError(f"adapter_weights: {len(given)} given for {count} adapters; give one each, or null for 1/T")
    return [1.0 / count] * count if given is None else list(given)


def prepare(options: DiffusersOptions, context: Context) -> Any:
    """The pipeline that the options name, on the device, with the scheduler swapped and every call option checked."""
    folder = model_folder(context.entry("models", options.model))
    transformer = (folder / "transformer").is_dir()
    dtype = pick_dtype(options.dtype, context.device, transformer=transformer)
    pipeline = load_pipeline(folder, dtype)
    swap_scheduler(pipeline, options.scheduler, options.scheduler_options)
    check_call(pipeline, options)
    if options.cpu_offload and context.device != "cpu":
        pipeline.enable_model_cpu_offload(device=context.device)
    else:
        pipeline.to(context.device)
    if options.compile and context.device != "cpu":
        _compile(getattr(pipeline, denoiser_name(pipeline)))
    return pipeline


def _compile(denoiser: Any) -> None:
    """Per block where the class says which blocks repeat (much less compile time for the same speed), else whole."""
    if getattr(denoiser, "_repeated_blocks", None):
        denoiser.compile_repeated_blocks()
    else:
        denoiser.compile()

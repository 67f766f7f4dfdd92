"""Conformance of image generators, text encoders and selectors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from selma_core.data import ImageItem, ImageRequest, Prompt
from selma_core.protocols import Context, EncoderLearner, ImageJob, SelectJob, TrainableEncoder
from selma_core.seeds import sample_seed
from selma_core.testing.context import FakeContext
from selma_core.testing.require import require, require_json, require_protocol


def check_image_generator(
    factory: Callable[[Any], Any],
    options: Any,
    *,
    workdir: Path,
    texts: Sequence[str] = ("a red circle", "two blue squares", "a star"),
    context: Context | None = None,
    adapter: Path | None = None,
) -> None:
    """Draws three requests together, reversed, and one alone: the bytes of each must stay the same.

    Raises:
        ConformanceError: images missing, repeated, not RGB, or dependent on their batch.
    """
    context = context or FakeContext(workdir=workdir)
    generator = factory(options)
    require_protocol(generator, "image_generator")
    count = generator.images_per_prompt
    require(isinstance(count, int) and count >= 1, f"images_per_prompt must be at least 1, not {count!r}")
    requests = tuple(
        ImageRequest(prompt=Prompt(id=f"p{index}", text=text), k=0, seed=sample_seed(0, f"p{index}", 0))
        for index, text in enumerate(texts)
    )

    def draw(some: tuple[ImageRequest, ...], maker: Any) -> dict[str, bytes]:
        return _draw(maker, ImageJob(context=context, requests=some, adapter=adapter))

    whole = draw(requests, generator)
    advice = "seed one generator per request from request.seed, never one per batch"
    reverse = draw(requests[::-1], factory(options))
    require(reverse == whole, f"the order of the requests changed the images; {advice}")
    alone = draw(requests[-1:], factory(options))
    require(alone.items() <= whole.items(), f"a request alone gave another image than in a batch; {advice}")


def _draw(generator: Any, job: ImageJob) -> dict[str, bytes]:
    drawn: dict[str, bytes] = {}
    for request, image in generator.images(job):
        require(request in job.requests, f"images() gave back a request that was not asked for: {request!r}")
        require(request.file_name not in drawn, f"images() drew {request.file_name} twice")
        mode = getattr(image, "mode", type(image).__name__)
        require(mode == "RGB", f"images() gave {mode}; give PIL images in mode RGB")
        drawn[request.file_name] = bytes(image.tobytes())
    missing = [request.file_name for request in job.requests if request.file_name not in drawn]
    require(not missing, f"images() left out {missing}")
    return drawn


def check_text_encoder(factory: Callable[[Any], Any], options: Any, *, pipeline: Any) -> None:
    """Encodes two prompts together and one alone, and the empty prompt.

    Raises:
        ConformanceError: wrong shapes, gradients, or an embedding that depends on its batch.
    """
    import torch

    encoder = factory(options)
    require_protocol(encoder, "text_encoder")
    both = encoder.encode(pipeline, ["a red circle", "two blue squares and a star"])
    hidden = both.hidden
    require(hidden.ndim == 3 and hidden.shape[0] == 2, f"hidden must be [2, L, D], not {tuple(hidden.shape)}")
    require(hidden.is_floating_point() and not hidden.requires_grad, "hidden must be floating point, without gradient")
    require(bool(torch.isfinite(hidden).all()), "hidden holds NaN or infinity")
    if both.pooled is not None:
        pooled_fits = both.pooled.ndim == 2 and both.pooled.shape[0] == 2
        require(pooled_fits, f"pooled must be [2, P], not {tuple(both.pooled.shape)}")
    if both.mask is not None:
        require(both.mask.shape == hidden.shape[:2], f"mask must be [2, L], not {tuple(both.mask.shape)}")
        require(both.mask.dtype == torch.bool, f"mask must be bool (True = real token), not {both.mask.dtype}")
    alone = encoder.encode(pipeline, ["a red circle"]).hidden
    length = min(alone.shape[1], hidden.shape[1])
    same = torch.allclose(alone[0, :length], hidden[0, :length], atol=1e-4, rtol=1e-4)
    require(same or both.mask is not None, "a prompt alone got another embedding than in a batch")
    empty = encoder.encode(pipeline, [""]).hidden
    require(empty.shape[0] == 1 and empty.shape[2] == hidden.shape[2], "'' must give the unconditional embedding")
    learner = encoder.learner(pipeline, 0) if isinstance(encoder, TrainableEncoder) else None
    if learner is not None:
        _check_learner(learner, pipeline, hidden.shape[1:])


def _check_learner(learner: EncoderLearner, pipeline: Any, shape: Sequence[int]) -> None:
    """What a trainer relies on: states without gradient, embeddings with that of every weight."""
    import torch

    states = learner.states(pipeline, ["a red circle", "two blue squares and a star"])
    require(states.raw is not None and not states.raw.requires_grad, "states must have 'raw', without gradient")
    found = learner.adapt(states, None)
    require(found.raw is None and found.hidden.shape[1:] == shape, "adapt must give what encode gives, without 'raw'")
    torch.autograd.backward(found.hidden.square().sum())
    still = [name for name, weight in learner.weights.items() if weight.grad is None]
    require(not still, f"no gradient reaches {still[:1]}")
    for weight in learner.weights.values():
        weight.grad = None


def check_selector(
    factory: Callable[[Any], Any],
    options: Any,
    *,
    items: Sequence[ImageItem],
    scores: dict[str, dict[str, float | None]],
    workdir: Path,
    context: Context | None = None,
) -> None:
    """Selects twice from the same candidates, and once with a score missing.

    Raises:
        ConformanceError: items that were no candidates or repeat, reasons that are no JSON, another choice later.
    """
    context = context or FakeContext(workdir=workdir)
    require_protocol(factory(options), "selector")
    job = SelectJob(context=context, items=tuple(items), scores=scores)
    kept = list(factory(options).select(job))
    require(bool(kept), "select() kept nothing")
    ids = [item.item_id for item, _ in kept]
    require(len(set(ids)) == len(ids), "select() kept one item twice")
    require(set(ids) <= {item.item_id for item in items}, "select() kept an item that was no candidate")
    for item, why in kept:
        require_json(dict(why), f"the reason of '{item.item_id}'")
    require(
        list(factory(options).select(job)) == kept, "the same candidates gave another choice; seed from context.seed"
    )
    holes = copy.deepcopy(scores)
    for row in holes.values():
        row[items[0].item_id] = None
    list(factory(options).select(SelectJob(context=context, items=tuple(items), scores=holes)))

"""Conformance of adapter trainers and merge strategies."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selma_core.data import ImageItem
from selma_core.protocols import Context, Dense, Factors, LayerJob, TrainedAdapter, TrainJob
from selma_core.testing.context import FakeContext, Interrupted
from selma_core.testing.require import require, require_json, require_protocol

if TYPE_CHECKING:
    import torch

_KEY = re.compile(r"^(?P<module>[\w.]+)\.lora_(?P<side>[AB])\.weight$")
_LAYER = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"


def check_merge_strategy(factory: Callable[[Any], Any], options: Any, *, identity: bool = True) -> None:
    """Merges small random layers: linear and convolution, equal and unequal ranks, experts that lack the layer.

    Args:
        identity: one expert merged alone gives itself; False for methods that drop or rescale on purpose.

    Raises:
        ConformanceError: wrong shapes, changed inputs, other results the second time, a lost expert.
    """
    strategy = factory(options)
    require_protocol(strategy, "merge_strategy")
    for count in (1, 2, 5):
        weights = tuple(strategy.weights(count, "some/model"))
        finite = all(isinstance(weight, int | float) and math.isfinite(weight) for weight in weights)
        require(len(weights) == count and finite, f"weights({count}, base) must give {count} finite floats: {weights}")
    for shape in ((6, 8), (6, 8, 3, 3)):
        experts = tuple(_factors(shape, rank, seed) for seed, rank in enumerate((2, 3, 2)))
        _check_layer(factory, options, experts)
        if identity:
            _check_identity(factory, options, experts[0])


def _check_layer(factory: Callable[[Any], Any], options: Any, experts: tuple[Factors, ...]) -> None:
    import torch

    kept = [(expert.up.clone(), expert.down.clone()) for expert in experts]
    merged = _merge(factory, options, experts)
    for expert, (up, down) in zip(experts, kept, strict=True):
        unchanged = torch.equal(expert.up, up) and torch.equal(expert.down, down)
        require(unchanged, "merge_layer changed its inputs; clone before working in place")
    again = _merge(factory, options, experts)
    same = (merged is None) == (again is None)
    if merged is not None and again is not None:
        same = torch.equal(merged.up, again.up) and torch.equal(merged.down, again.down)
    require(same, "the same layer merged twice gave other numbers; derive masks from (seed, expert_ids, name)")
    for some in ((experts[0], None, experts[2]), (None, None, None)):
        _merge(factory, options, some)


def _check_identity(factory: Callable[[Any], Any], options: Any, expert: Factors) -> None:
    import torch

    merged = _merge(factory, options, (expert,))
    require(merged is not None, "one expert merged alone gave None")
    close = merged is not None and torch.allclose(_delta(merged), _delta(expert), atol=1e-5, rtol=1e-4)
    require(close, "one expert merged alone must give itself (pass identity=False if the method changes it on purpose)")


def _merge(factory: Callable[[Any], Any], options: Any, experts: Sequence[Factors | None]) -> Factors | None:
    """One layer by way of the driver, as a run merges it."""
    from selma_core.merging.layer import merge_layer

    strategy = _Typed(factory(options))
    job = LayerJob(
        name=_LAYER,
        experts=tuple(experts),
        weights=tuple(strategy.weights(len(experts), "some/model")),
        expert_ids=tuple(f"{index:064x}" for index in range(len(experts))),
        seed=0,
    )
    merged = merge_layer(strategy, job)
    return None if merged is None else merged.factors


class _Typed:
    """A strategy whose answers are checked before the driver works on them."""

    def __init__(self, strategy: Any) -> None:
        self._strategy, self.options = strategy, getattr(strategy, "options", None)

    def weights(self, count: int, base: str) -> tuple[float, ...]:
        """The strategy's own."""
        return self._strategy.weights(count, base)  # type: ignore[no-any-return]

    def merge_layer(self, job: LayerJob) -> Factors | Dense | None:
        """The strategy's answer, of the types and shapes that the protocol wants."""
        import torch

        found = self._strategy.merge_layer(job)
        if found is None:
            return None
        name = type(found).__name__
        require(isinstance(found, Factors | Dense), f"merge_layer gave a {name}; give Factors, Dense or None")
        like = next(expert for expert in job.experts if expert is not None)
        wanted = (like.up.shape[0], like.down.shape[1])
        parts = (found.delta,) if isinstance(found, Dense) else (found.up, found.down)
        require(all(part.dtype == torch.float32 for part in parts), f"deltas must be float32, not {parts[0].dtype}")
        fits = (parts[0].shape[0], parts[-1].shape[1]) == wanted and parts[0].shape[-1] in (wanted[1], len(parts[-1]))
        shapes = ", ".join(str(tuple(part.shape)) for part in parts)
        require(fits, f"the merged delta does not fit {wanted}: {shapes}; up [out, r], down [r, in] is wanted")
        require(all(bool(torch.isfinite(part).all()) for part in parts), "the merged layer holds NaN or infinity")
        return found  # type: ignore[no-any-return]


def _factors(shape: tuple[int, ...], rank: int, seed: int) -> Factors:
    import torch

    out, inside, *kernel = shape
    generator = torch.Generator().manual_seed(seed)
    up = torch.randn(out, rank, *(1 for _ in kernel), generator=generator)
    return Factors(up=up, down=torch.randn(rank, inside, *kernel, generator=generator))


def _delta(factors: Factors) -> torch.Tensor:
    rank = factors.down.shape[0]
    return (factors.up.reshape(-1, rank) @ factors.down.reshape(rank, -1)).reshape(
        factors.up.shape[0], *factors.down.shape[1:]
    )


def check_adapter_trainer(
    factory: Callable[[Any], Any],
    options: Any,
    *,
    images: Sequence[ImageItem],
    workdir: Path,
    make_context: Callable[[Path, int | None], Context] | None = None,
    interrupt_after: int | None = 2,
) -> TrainedAdapter:
    """Trains whole, trains again, and trains with a simulated kill at a call of `context.progress`.

    Args:
        make_context: (workdir, interrupt_after) -> a context with the entries that the trainer needs.
        interrupt_after: the call of `progress` that the kill comes at; None skips this check.

    Raises:
        ConformanceError: tensors that are no canonical LoRA, other tensors the second time or after a kill.
    """

    def run(name: str, interrupt: int | None = None) -> TrainedAdapter:
        folder = workdir / name
        folder.mkdir(parents=True, exist_ok=True)
        make = make_context or (lambda where, when: FakeContext(workdir=where, interrupt_after=when))
        return factory(options).train(TrainJob(context=make(folder, interrupt), images=tuple(images)))  # type: ignore[no-any-return]

    require_protocol(factory(options), "adapter_trainer")
    first = run("first")
    _check_adapter(first)
    _check_same(first, run("second"), "the same images and seed gave another adapter; seed from context.seed")
    if interrupt_after is not None:
        with suppress(Interrupted):
            run("killed", interrupt_after)
        _check_same(
            first, run("killed"), "after a kill the adapter differs; save everything it needs in context.workdir"
        )
    return first


def _check_adapter(adapter: Any) -> None:
    import torch

    require(isinstance(adapter, TrainedAdapter), f"train() gave a {type(adapter).__name__}; give TrainedAdapter")
    sides: dict[str, dict[str, Any]] = {}
    for key, tensor in adapter.tensors.items():
        match = _KEY.match(key)
        require(match is not None, f"tensor '{key}' is not named <module>.lora_A.weight or <module>.lora_B.weight")
        require(bool(torch.isfinite(tensor).all()), f"tensor '{key}' holds NaN or infinity")
        if match is not None:
            sides.setdefault(match["module"], {})[match["side"]] = tensor
    require(bool(sides), "the adapter has no tensors")
    for module, pair in sides.items():
        fits = set(pair) == {"A", "B"} and pair["A"].shape[0] == pair["B"].shape[1]
        require(fits, f"{module}: lora_A must be [r, in] and lora_B [out, r], both present")
    require_json(dict(adapter.metadata), "the adapter's metadata")
    for row in adapter.curve:
        require("step" in row, f"a row of the curve lacks 'step': {row}")


def _check_same(first: TrainedAdapter, second: TrainedAdapter, message: str) -> None:
    import torch

    same = set(first.tensors) == set(second.tensors)
    same = same and all(torch.equal(first.tensors[key], second.tensors[key]) for key in first.tensors)
    require(same, message)

"""The `peft_*` modes give what the installed PEFT gives, on SD 1.5's real attention shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from selma_plugins.merging_compat import peft, peft_svd
from selma_plugins.merging_compat.kohya import KohyaSvd
from selma_plugins.merging_compat.options import (
    KohyaSvdOptions,
    PeftDareOptions,
    PeftMagnitudeOptions,
    PeftOptions,
    PeftTiesOptions,
)

from selma_core.errors import UserError
from selma_core.merging.algebra import stream
from selma_core.protocols import MergeStrategy
from tests.merging_compat.peft_oracle import LARGE, SMALL, Oracle, difference

WEIGHTS = (0.5, 0.25, -0.75)
TOLERANCE = 1e-5

# PEFT's combination_type, its arguments, the mode
ON_FACTORS: tuple[tuple[str, dict[str, Any], MergeStrategy], ...] = (
    ("linear", {}, peft.PeftLinear(PeftOptions())),
    ("magnitude_prune", {"density": 0.3}, peft.PeftMagnitude(PeftMagnitudeOptions(density=0.3))),
    ("ties", {"density": 0.5}, peft.PeftTies(PeftTiesOptions(density=0.5))),
    ("ties", {"density": 1.0}, peft.PeftTies(PeftTiesOptions())),
    (
        "ties",
        {"density": 0.5, "majority_sign_method": "frequency"},
        peft.PeftTies(PeftTiesOptions(density=0.5, vote="frequency")),
    ),
)
ON_DELTAS: tuple[tuple[str, dict[str, Any], MergeStrategy], ...] = (
    ("svd", {}, peft_svd.PeftSvd(PeftOptions())),
    ("svd", {"svd_rank": 7}, peft_svd.PeftSvd(PeftOptions(rank=7))),
    ("magnitude_prune_svd", {"density": 0.3}, peft_svd.PeftMagnitudeSvd(PeftMagnitudeOptions(density=0.3))),
    ("ties_svd", {"density": 0.4}, peft_svd.PeftTiesSvd(PeftTiesOptions(density=0.4))),
    (
        "ties_svd",
        {"density": 0.4, "majority_sign_method": "frequency"},
        peft_svd.PeftTiesSvd(PeftTiesOptions(density=0.4, vote="frequency")),
    ),
)
DARE: tuple[tuple[str, dict[str, Any], MergeStrategy], ...] = (
    ("dare_linear", {"density": 0.4}, peft.PeftDare(PeftDareOptions(density=0.4))),
    ("dare_ties", {"density": 0.4}, peft.PeftDare(PeftDareOptions(density=0.4, inner="ties"))),
    ("dare_linear_svd", {"density": 0.4}, peft_svd.PeftDareSvd(PeftDareOptions(density=0.4))),
    ("dare_ties_svd", {"density": 0.4}, peft_svd.PeftDareSvd(PeftDareOptions(density=0.4, inner="ties"))),
)
ALL = ON_FACTORS + ON_DELTAS + DARE


def oracle(shapes: Any, **config: Any) -> Oracle:
    return Oracle(shapes, [{"r": 4, "lora_alpha": 4, **config}] * 3)


# An alpha of twice the rank doubles exactly, so that thresholds are not moved by rounding.
@pytest.mark.parametrize("alpha", [4, 8])
@pytest.mark.parametrize(("kind", "arguments", "mode"), ON_FACTORS)
def test_modes_on_factors_agree(kind: str, arguments: dict[str, Any], mode: MergeStrategy, alpha: int) -> None:
    experts = oracle(SMALL + LARGE, lora_alpha=alpha)
    assert difference(experts.ours(mode, WEIGHTS), experts.merged(kind, WEIGHTS, **arguments)) < TOLERANCE


@pytest.mark.parametrize(
    "shapes", [SMALL, *(pytest.param((shape,), marks=pytest.mark.slow, id=str(shape)) for shape in LARGE)]
)
@pytest.mark.parametrize(("kind", "arguments", "mode"), ON_DELTAS)
def test_modes_on_deltas_agree(kind: str, arguments: dict[str, Any], mode: MergeStrategy, shapes: Any) -> None:
    experts = oracle(shapes)
    theirs = experts.merged(kind, WEIGHTS, **arguments, svd_full_matrices=False)
    assert difference(experts.ours(mode, WEIGHTS), theirs) < TOLERANCE


def test_svd_agrees_for_unequal_ranks_and_alphas() -> None:
    experts = Oracle(SMALL, [{"r": 2, "lora_alpha": 4}, {"r": 4, "lora_alpha": 4}, {"r": 3, "lora_alpha": 1}])
    mode = peft_svd.PeftSvd(PeftOptions())
    assert difference(experts.ours(mode, WEIGHTS), experts.merged("svd", WEIGHTS)) < TOLERANCE


def test_svd_with_a_clamp_is_kohyas() -> None:
    experts = oracle(SMALL)
    mode = KohyaSvd(KohyaSvdOptions(rank=4, clamp=0.99))
    assert difference(experts.ours(mode, WEIGHTS), experts.merged("svd", WEIGHTS, svd_clamp=0.99)) < TOLERANCE


def test_full_matrices_change_nothing() -> None:
    experts = oracle(SMALL[1:])
    full, thin = (experts.merged("svd", WEIGHTS, svd_full_matrices=flag) for flag in (True, False))
    assert difference(full, thin) < TOLERANCE


@pytest.mark.parametrize(("kind", "arguments", "mode"), DARE)
def test_dare_agrees_under_the_same_masks(
    kind: str, arguments: dict[str, Any], mode: MergeStrategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    experts = oracle(SMALL)
    ours, masks = experts.ours(mode, WEIGHTS), replay(experts, arguments["density"], kind.endswith("_svd"))
    with monkeypatch.context() as patch:
        patch.setattr(torch, "bernoulli", lambda shares: next(masks))
        theirs = experts.merged(kind, WEIGHTS, **arguments)
    assert next(masks, None) is None
    assert difference(ours, theirs) < TOLERANCE


def replay(experts: Oracle, density: float, dense: bool) -> Iterator[torch.Tensor]:
    """The seeded masks in the order in which PEFT asks for them: by layer, all of A, then all of B."""
    masks = []
    for job in experts.jobs(WEIGHTS):
        streams = [stream(job, i) for i in range(len(job.experts))]
        parts = [part for part in job.experts if part is not None]
        shapes = [[(len(part.up), part.down.shape[1]) for part in parts]]
        if not dense:
            shapes = [
                [(len(part.down), part.down.shape[1]) for part in parts],
                [(len(part.up), part.up.shape[1]) for part in parts],
            ]
        for side in shapes:
            for shape, source in zip(side, streams, strict=True):
                masks.append(torch.bernoulli(torch.full(shape, density), generator=source))
    return iter(masks)


def test_dare_does_not_touch_the_global_stream() -> None:
    experts = oracle(SMALL)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(experts.ours(DARE[0][2], WEIGHTS))
        assert torch.equal(torch.get_rng_state(), before)
    assert difference(*found) == 0


@pytest.mark.parametrize(
    ("kind", "make"),
    [("linear", peft.PeftLinear), ("svd", peft_svd.PeftSvd)],
)
def test_rslora_comes_out_too_large_by_the_root_of_the_rank(
    kind: str, make: Callable[[PeftOptions], MergeStrategy]
) -> None:
    experts = oracle(SMALL, r=16, lora_alpha=16, use_rslora=True)  # s = 16 / sqrt(16): exact
    theirs = experts.merged(kind, WEIGHTS)
    faulty, right = (experts.ours(make(PeftOptions(rslora=flag)), WEIGHTS) for flag in (True, False))
    assert difference(faulty, theirs) < TOLERANCE
    assert difference({layer: 4 * delta for layer, delta in right.items()}, theirs) < TOLERANCE


@pytest.mark.parametrize(("kind", "arguments", "mode"), ALL)
def test_a_single_expert_is_merged_by_linear(kind: str, arguments: dict[str, Any], mode: MergeStrategy) -> None:
    experts = Oracle(SMALL[:1], [{"r": 4, "lora_alpha": 4}])
    assert difference(experts.ours(mode, (0.5,)), experts.merged(kind, (0.5,), **arguments)) < TOLERANCE


@pytest.mark.parametrize(("kind", "arguments", "mode"), ON_FACTORS + ON_DELTAS[:1])
def test_a_layer_that_an_expert_lacks(kind: str, arguments: dict[str, Any], mode: MergeStrategy) -> None:
    both = {"r": 4, "lora_alpha": 4}
    experts = Oracle(SMALL, [both, {**both, "target_modules": ["layer_320x320"]}, both])
    assert difference(experts.ours(mode, WEIGHTS), experts.merged(kind, WEIGHTS, **arguments)) < TOLERANCE


@pytest.mark.parametrize(("kind", "arguments", "mode"), ON_FACTORS)
def test_unequal_ranks_are_refused_as_in_peft(kind: str, arguments: dict[str, Any], mode: MergeStrategy) -> None:
    experts = Oracle(SMALL[:1], [{"r": 2}, {"r": 4}, {"r": 4}])
    with pytest.raises(ValueError, match="same r value"):
        experts.merged(kind, WEIGHTS, **arguments)
    with pytest.raises(UserError, match=r"experts of ranks 2, 4.*take peft_svd, or linear"):
        experts.ours(mode, WEIGHTS)


def test_linear_differs_where_experts_have_different_scales() -> None:
    """What the docstring says: the raw alpha is needed there, and factors do not have it."""
    experts = Oracle(SMALL[:1], [{"r": 4, "lora_alpha": 4}, {"r": 4, "lora_alpha": 16}])
    mode = peft.PeftLinear(PeftOptions())
    assert difference(experts.ours(mode, (0.5, 0.5)), experts.merged("linear", (0.5, 0.5))) > 0.1

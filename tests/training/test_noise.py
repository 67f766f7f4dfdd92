"""Targets, weights and draws as formulas."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import attrs
import diffusers
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from selma_plugins.training.batches import Sampler
from selma_plugins.training.noise import Objective
from selma_plugins.training.options import LoraOptions
from selma_plugins.training.split import hold_out, is_sided, may_flip

from selma_core.errors import UserError
from tests.tiny_stage import items

few = settings(max_examples=30, deadline=None)
level = st.floats(0.001, 0.999)


def _objective(prediction: str, **options: float) -> Objective:
    return Objective(diffusers.DDIMScheduler(prediction_type=prediction), **options)


@few
@given(level, st.integers(0, 1000))
def test_the_clean_image_follows_from_each_target(at: float, seed: int) -> None:
    stream = torch.Generator().manual_seed(seed)
    clean, noise = torch.randn(2, 1, 2, 2, generator=stream), torch.randn(2, 1, 2, 2, generator=stream)
    levels = torch.tensor([at, at])
    alphas = diffusers.DDPMScheduler().alphas_cumprod
    for prediction in ("epsilon", "v_prediction", "sample"):
        made = _objective(prediction).noise(clean, noise, levels)
        alpha = alphas[made.timesteps].view(2, 1, 1, 1)
        back = {
            "epsilon": (made.noisy - (1 - alpha).sqrt() * made.target) / alpha.sqrt(),
            "v_prediction": alpha.sqrt() * made.noisy - (1 - alpha).sqrt() * made.target,
            "sample": made.target,
        }[prediction]
        torch.testing.assert_close(back, clean, atol=2e-3, rtol=2e-3)


@few
@given(level)
def test_flow_target_is_the_velocity(at: float) -> None:
    objective = Objective(diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0))
    clean, noise = torch.randn(1, 1, 2, 2), torch.randn(1, 1, 2, 2)
    made = objective.noise(clean, noise, torch.tensor([at]))
    sigma = made.timesteps / 1000
    torch.testing.assert_close(made.noisy, clean + sigma * made.target, atol=1e-5, rtol=1e-5)
    assert float(sigma) == pytest.approx(3 * at / (1 + 2 * at), rel=1e-5)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_against_the_schedulers_own_noising(prediction: str) -> None:
    scheduler = diffusers.DDIMScheduler(prediction_type=prediction, beta_schedule="squaredcos_cap_v2")
    clean, noise = torch.randn(3, 1, 2, 2), torch.randn(3, 1, 2, 2)
    made = Objective(scheduler).noise(clean, noise, torch.tensor([0.1, 0.5, 0.9]))
    torch.testing.assert_close(made.noisy, scheduler.add_noise(clean, noise, made.timesteps))
    if prediction == "v_prediction":
        torch.testing.assert_close(made.target, scheduler.get_velocity(clean, noise, made.timesteps))


def test_min_snr_against_a_plain_reference() -> None:
    levels = torch.linspace(0.01, 0.98, 50)
    clean = torch.zeros(50, 1)
    alphas = diffusers.DDPMScheduler().alphas_cumprod
    for prediction, divisor in (("epsilon", lambda s: s), ("v_prediction", lambda s: s + 1)):
        made = _objective(prediction, min_snr=5.0).noise(clean, clean, levels)
        for timestep, weight in zip(made.timesteps.tolist(), made.weight.tolist(), strict=True):
            snr = float(alphas[timestep] / (1 - alphas[timestep]))
            assert weight == pytest.approx(min(snr, 5.0) / divisor(snr), rel=1e-4)
    with pytest.raises(UserError, match="flow"):
        Objective(diffusers.FlowMatchEulerDiscreteScheduler(), min_snr=5.0)


@few
@given(st.integers(0, 999), st.integers(1, 1000), st.lists(level, min_size=1, max_size=20))
def test_only_the_timesteps_asked_for_are_trained_on(first: int, length: int, uniform: list[float]) -> None:
    ends = first, min(1000, first + length)
    clean = torch.zeros(len(uniform), 1, 2, 2)
    flow, shifted = (diffusers.FlowMatchEulerDiscreteScheduler(shift=shift) for shift in (1.0, 3.0))
    for scheduler in (diffusers.DDIMScheduler(), flow, shifted):
        for sampling in ("uniform", "logit_normal"):
            objective = Objective(scheduler, 0.0, sampling, ends)
            for levels in (objective.levels(torch.tensor(uniform)), objective.within(torch.tensor(uniform))):
                found = objective.noise(clean, clean, levels).timesteps
                assert bool(((found >= ends[0] - 0.01) & (found <= ends[1] + 0.01)).all())


def test_all_timesteps_are_the_default() -> None:
    uniform = torch.linspace(0.01, 0.99, 99)
    assert torch.equal(_objective("epsilon").levels(uniform), uniform)
    flow = Objective(diffusers.FlowMatchEulerDiscreteScheduler())
    torch.testing.assert_close(flow.levels(uniform), torch.sigmoid(torch.special.ndtri(uniform)))


def test_a_range_of_timesteps_that_is_empty_is_refused() -> None:
    with pytest.raises(ValueError, match="min_timestep: 800 leaves nothing to train on; set it below max_timestep"):
        LoraOptions(model="m", min_timestep=800, max_timestep=700)


@few
@given(st.integers(1, 20), st.integers(1, 7), st.integers(0, 5))
def test_every_epoch_visits_every_sample_once(count: int, batch: int, seed: int) -> None:
    sampler = Sampler(seed, count, batch, (1, 2, 2))
    seen = torch.cat([sampler.draw(step).index for step in range(3 * count)])[: 3 * count]
    assert Counter(seen.tolist()) == dict.fromkeys(range(count), 3)


def test_draws_depend_on_the_step_only() -> None:
    sampler = Sampler(3, 10, 4, (1, 2, 2), 0.5)
    first = sampler.draw(7)
    sampler.draw(8)
    again = Sampler(3, 10, 4, (1, 2, 2), 0.5).draw(7)
    assert torch.equal(first.noise, again.noise)
    assert torch.equal(first.level, again.level)
    assert torch.equal(first.drop, again.drop)


def test_held_out_prompts_depend_on_texts_only(tmp_path: Path) -> None:
    found = items(tmp_path, 6)
    kept, held = hold_out(found, 0.3)
    assert len(held) == 2
    assert hold_out(found[::-1], 0.3)[1] == held[::-1]
    assert hold_out(found, 0.0) == (list(found), [])
    assert hold_out(found[:1], 0.5)[1] == []  # something must be left to train on
    assert len(kept) == 4


@pytest.mark.parametrize(
    ("text", "sided"),
    [
        ("a cat left of a dog", True),
        ("the word hello", True),
        ("Right!", True),
        ("a bright sign", False),
        ("two cats", False),
    ],
)
def test_prompts_that_a_flip_changes(text: str, sided: bool, tmp_path: Path) -> None:
    assert is_sided(text) is sided
    (item,) = items(tmp_path, 1)
    item = attrs.evolve(item, prompt=attrs.evolve(item.prompt, text=text))
    assert may_flip(item, LoraOptions(model="m", flip_sided=False)) is not sided
    assert may_flip(item, LoraOptions(model="m"))
    assert not may_flip(item, LoraOptions(model="m", unflipped_skills=["count"]))
    assert not may_flip(item, LoraOptions(model="m", flip=False))


@pytest.mark.parametrize(("meta", "flipped"), [({}, True), ({"flip": True}, True), ({"flip": False}, False)])
def test_a_prompts_metadata_can_forbid_the_flip(meta: dict[str, bool], flipped: bool, tmp_path: Path) -> None:
    (item,) = items(tmp_path, 1)
    item = attrs.evolve(item, prompt=attrs.evolve(item.prompt, meta=meta))
    assert may_flip(item, LoraOptions(model="m")) is flipped
    assert may_flip(item, LoraOptions(model="m", flip_all_skills=True))
    assert not may_flip(item, LoraOptions(model="m", flip=False, flip_all_skills=True))

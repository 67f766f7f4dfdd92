"""Through which steps gradients go: against a computation from the definition, on tiny models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from selma_plugins.reward_training import trainer
from selma_plugins.reward_training.ddim import Grid, make_grid
from selma_plugins.reward_training.loop import RewardLoop
from selma_plugins.reward_training.rollout import both_halves, draw, guided, route_of
from selma_plugins.training.batches import Sampler
from selma_plugins.training.lora_layers import insert
from selma_plugins.training.tuning import LoraTuning

from selma_core.errors import UserError
from selma_core.protocols import Embeddings
from tests.reward_training.conftest import PROMPTS, Redness, options_of

Models = Callable[[str], Path]
COUNT, K = 10, 2


def stirred(weights: dict[str, Any]) -> dict[str, Any]:
    """B starts at zero, where A has no gradient: both get one."""
    stream = torch.Generator().manual_seed(9)
    for name, weight in weights.items():
        if ".lora_B." in name:
            weight.data = 0.2 * torch.randn(weight.shape, generator=stream)
    return weights


class Stirred(LoraTuning):
    def insert(self, *arguments: Any) -> dict[str, Any]:
        return stirred(super().insert(*arguments))


@pytest.fixture
def gradients(train: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, torch.Tensor]]:
    """The gradients of a first step of the trainer."""

    def run(model: str = "epsilon", **given: Any) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}
        monkeypatch.setattr(trainer, "LoraTuning", Stirred)
        monkeypatch.setattr(
            RewardLoop, "_update", lambda self: found.update({n: w.grad.clone() for n, w in self.weights.items()})
        )
        train(model, steps=1, **given)
        return found

    return run


def definition(folder: Path, prediction: str, **given: Any) -> dict[str, torch.Tensor]:
    """Section 2.4 step by step: two calls of the UNet a step, no checkpointing, a schedule of one's own."""
    options = options_of(folder, steps=1, **given)
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    pipeline.unet.requires_grad_(False)
    weights = stirred(insert(pipeline.unet, options, 0))
    own = Sampler(0, len(PROMPTS), 2, (4, 8, 8)).draw(0)
    texts = [PROMPTS[i].text for i in own.index.tolist()]
    with torch.no_grad():
        cond, none = (pipeline.encode_prompt(t, "cpu", 1, False)[0] for t in (texts, ["", ""]))
    bars = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)
    route = route_of(options, 0, 0)
    x, alpha = own.noise, [float(bars[t]) for t in range(999, -1, -1000 // COUNT)]
    for i, t in enumerate(range(999, -1, -1000 // COUNT)):
        with torch.set_grad_enabled(i in route.trained):
            seen = x.detach() if options.method != "draft_k" else x
            u, c = (pipeline.unet(seen, t, encoder_hidden_states=hidden).sample for hidden in (none, cond))
            answer = u + options.guidance * (c - u)
        a, s = alpha[i] ** 0.5, (1 - alpha[i]) ** 0.5
        x0 = (x - s * answer) / a if prediction == "epsilon" else a * x - s * answer
        eps = answer if prediction == "epsilon" else a * answer + s * x
        if options.method == "refl" and i in route.trained:
            break
        if i + 1 < COUNT:
            x = alpha[i + 1] ** 0.5 * x0 + (1 - alpha[i + 1]) ** 0.5 * eps
    pictures = (pipeline.vae.decode(x0 / 0.5).sample / 2 + 0.5).clamp(0, 1)
    (0.5 * (1 - Redness()(pictures, texts).mean())).backward()
    return {name: weight.grad for name, weight in weights.items()}


@pytest.mark.parametrize(
    ("model", "method"),
    [("epsilon", "drtune"), ("v_prediction", "drtune"), ("epsilon", "draft_k"), ("epsilon", "refl")],
)
def test_gradients_are_those_of_the_definition(models: Models, gradients: Any, model: str, method: str) -> None:
    found = gradients(model, method=method)
    wanted = definition(models(model), model, method=method)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert value.abs().max() > 0, name
        torch.testing.assert_close(found[name], value, rtol=2e-3, atol=2e-4 * float(value.abs().max()))


def test_keeping_activations_changes_rounding_only(gradients: Any) -> None:
    saved, kept = gradients(gradient_checkpointing="on"), gradients(gradient_checkpointing="off")
    for name, value in kept.items():
        torch.testing.assert_close(saved[name], value, rtol=1e-4, atol=1e-5 * float(value.abs().max()))


@pytest.mark.parametrize(("method", "wanted"), [("drtune", False), ("refl", False), ("draft_k", True)])
def test_the_denoisers_input_has_a_gradient_only_in_draft_k(
    train: Any, monkeypatch: pytest.MonkeyPatch, method: str, wanted: bool
) -> None:
    seen: list[bool] = []
    original = trainer.family_of

    def watched(denoiser: Any) -> Any:
        denoiser.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0].requires_grad))
        return original(denoiser)

    monkeypatch.setattr(trainer, "family_of", watched)
    train(method=method, steps=2)
    assert len(seen) > 10
    assert any(seen) == wanted


# --- routes, grid, guidance: no model needed ------------------------------------------------------------------


class Linear:
    """The schedule of SD: scaled linear."""

    def __init__(self, **more: Any) -> None:
        from diffusers import DDIMScheduler

        self.config = DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, **more).config


def test_ten_phases_of_five_steps_all_with_a_gradient() -> None:
    """At 50 steps and K = 5: t = 999, 979, ..., 19; every tenth step from a random one; no phase is without effect."""
    options, grid = options_of(Path("x"), draw_steps=50, k=5), make_grid(Linear(), 50)
    assert grid.timesteps == tuple(range(999, 0, -20))
    routes = {route_of(options, 0, step).trained: route_of(options, 0, step) for step in range(200)}
    assert {tuple(sorted(trained)) for trained in routes} == {tuple(range(r, 50, 10)) for r in range(10)}
    noise = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    for route in routes.values():
        weight = torch.full((50,), 0.3, requires_grad=True)

        def answer(x: torch.Tensor, t: int, weight: torch.Tensor = weight) -> torch.Tensor:
            return weight[grid.timesteps.index(t)] * x

        latents, _ = draw(grid, route, noise, answer)
        (gradient,) = torch.autograd.grad(latents.square().mean(), weight)
        assert set(gradient.nonzero().flatten().tolist()) == set(route.trained)
        assert route.last == 49


def test_routes_of_the_other_methods() -> None:
    last = route_of(options_of(Path("x"), method="draft_k", draw_steps=50, k=3), 0, 7)
    assert (last.trained, last.last, last.cut) == (frozenset({47, 48, 49}), 49, False)
    refl = [route_of(options_of(Path("x"), method="refl", draw_steps=40), 0, step) for step in range(200)]
    assert {route.last for route in refl} == set(range(30, 40))  # ReFL: steps 30 to 39 of 40
    assert all(route.trained == {route.last} for route in refl)


def test_the_order_of_guidance() -> None:
    """Both halves go in and come out in one order; swapped, the numbers are others."""
    none, prompt = (Embeddings(hidden=torch.full((2, 3, 4), value)) for value in (1.0, 5.0))
    answers = both_halves(none, prompt).hidden.mean((1, 2))[:, None]  # the answer is what was given: u = 1, c = 5
    assert guided(answers, 2.0).flatten().tolist() == [9.0, 9.0]
    swapped = torch.cat(answers.chunk(2)[::-1])
    assert guided(swapped, 2.0).flatten().tolist() == [-3.0, -3.0]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_predictions_of_every_kind_give_the_clean_picture_back(prediction: str) -> None:
    grid = make_grid(Linear(prediction_type=prediction), 20)
    torch.manual_seed(0)
    clean, noise = torch.randn(2, 4, 4, 4), torch.randn(2, 4, 4, 4)
    for place in (0, 7, 19):
        a, s = grid.signals[place], grid.spreads[place]
        answer = {"epsilon": noise, "v_prediction": a * noise - s * clean, "sample": clean}[prediction]
        for found, wanted in zip(grid.clean(place, a * clean + s * noise, answer), (clean, noise), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_the_schedule_is_not_rounded(models: Models) -> None:
    """In bf16 sqrt(1 - alpha_bar) is off by +4.8 % at t = 19; here it is exact, whatever the weights' type."""
    bars = (1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2).cumprod(0)
    grid = make_grid(Linear(), 50)
    for timestep, spread in zip(grid.timesteps, grid.spreads, strict=True):
        assert spread == pytest.approx(float((1 - bars[timestep]).sqrt()), rel=1e-4)
    rounded = float((1 - bars.bfloat16()[19].float()).sqrt())
    assert abs(rounded / grid.spreads[-1] - 1) > 0.01


def test_schedules_that_ddim_cannot_use(models: Models) -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    with pytest.raises(UserError, match="draws by DDIM, which a FlowMatchEulerDiscreteScheduler has no coefficients"):
        make_grid(FlowMatchEulerDiscreteScheduler(), 10)
    with pytest.raises(UserError, match="pure noise"):
        make_grid(Linear(rescale_betas_zero_snr=True), 10)
    assert isinstance(make_grid(Linear(rescale_betas_zero_snr=True, prediction_type="v_prediction"), 10), Grid)
    with pytest.raises(UserError, match="draw_steps: 2000 is more than the 1000"):
        make_grid(Linear(), 2000)

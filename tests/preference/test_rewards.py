"""The rewards: the evaluators' values, with a gradient to the image that finite differences confirm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from selma_plugins.preference.options import (
    ClipScoreOptions,
    DenscoreOptions,
    Hps20Options,
    Hps21Options,
    ImageRewardOptions,
    PickScoreOptions,
)
from selma_plugins.preference.pixels import STD, crop, crop_file, open_rgb, to_tensor
from selma_plugins.preference.plugin import selma_evaluators
from selma_plugins.preference.rewards import (
    ClipScoreReward,
    DenscoreReward,
    Hps20Reward,
    Hps21Reward,
    ImageRewardReward,
    PickScoreReward,
)

from selma_core.errors import StageError
from selma_core.protocols import Attachable, Reward
from selma_core.testing import FakeContext
from tests.preference.support import items, observed, picture

TEXTS = ["a red hat. two dogs", "a cat"]
# How far a reward may be from the evaluator's value when the image has to be resized: Pillow rounds to 8 bits (which
# moves a pixel by at most 1.5/255, see below), torch does not, and these random models are far from smooth. HPSv2
# resizes tensors in both cases.
CASES = [
    (PickScoreReward, PickScoreOptions(), 0.3),
    (ClipScoreReward, ClipScoreOptions(), 0.02),
    (DenscoreReward, DenscoreOptions(), 0.02),
    (DenscoreReward, DenscoreOptions(omega=1.0), 0.02),
    (Hps20Reward, Hps20Options(), 1e-6),
    (Hps21Reward, Hps21Options(antialias=False), 1e-6),
    (ImageRewardReward, ImageRewardOptions(), 0.02),
]
NAMES = [f"{kind.__name__}-{n}" for n, (kind, _, _) in enumerate(CASES)]


def made(kind: Any, options: Any, context: FakeContext) -> Any:
    reward = kind(options)
    assert isinstance(reward, Attachable)
    reward.attach(context)
    return reward


@pytest.mark.parametrize(("kind", "options", "tolerance"), CASES, ids=NAMES)
@pytest.mark.parametrize("size", [(32, 32), (48, 48), (64, 41)])
def test_reward_equals_the_stored_value(
    kind: Any, options: Any, tolerance: float, size: tuple[int, int], context: FakeContext, tmp_path: Path
) -> None:
    images = items(tmp_path, TEXTS, size=size)
    _, rows = observed(kind.evaluator(options), images, context)
    reward = made(kind, options, context)
    batch = torch.stack([to_tensor(open_rgb(item.path)) for item in images])
    found = reward(batch, [item.prompt.text for item in images])
    stored = [row.atoms[0].value for row in rows]
    assert found.shape == (4,)
    # (32, 32) is what the models see: nothing to resize, nothing to differ in
    assert found.tolist() == pytest.approx(stored, abs=5e-6 if size == (32, 32) else tolerance)
    assert np.corrcoef(found.detach().numpy(), stored)[0, 1] > 0.99


def test_preparation_in_torch_is_within_a_step_of_pillows(tmp_path: Path) -> None:
    step = 1.5 / 255 / torch.tensor(STD)[:, None, None]
    for n, size in enumerate([(48, 48), (64, 41), (41, 64), (25, 24), (24, 24), (20, 21)]):
        path = picture(tmp_path / f"{n}.png", n, size)
        for offset in ("down", "even"):
            theirs = crop_file(path, 24, offset)  # type: ignore[arg-type]
            ours = crop(to_tensor(open_rgb(path))[None], 24, offset)[0]  # type: ignore[arg-type]
            assert ((ours - theirs).abs() <= step).all(), size


@pytest.mark.parametrize(("kind", "options", "tolerance"), CASES, ids=NAMES)
def test_gradient_by_finite_differences(kind: Any, options: Any, tolerance: float, context: FakeContext) -> None:
    """(r(x + h v) - r(x - h v)) / 2h along the gradient and along a random direction, in double precision."""
    reward = made(kind, options, context)
    scorer = reward._evaluator.ready(context)
    scorer.model.double()
    try:
        torch.manual_seed(0)
        images = torch.rand(2, 3, 40, 52, dtype=torch.float64) * 0.6 + 0.2
        encoded = [_double(scorer.encode(s, reward._evaluator.texts(s))) for s in _specs(reward, scorer)]

        def value(x: torch.Tensor) -> torch.Tensor:
            return scorer.parts(scorer.see(scorer.shrink(x)), encoded)["score"].sum()

        x = images.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(value(x), x)
        assert gradient.abs().max() > 0
        for direction in (gradient / gradient.norm(), torch.randn_like(images) / images.numel() ** 0.5):
            step = 1e-4 * direction
            numeric = (value(images + step) - value(images - step)) / 2e-4
            assert float(numeric) == pytest.approx(float((gradient * direction).sum()), rel=1e-4, abs=1e-9)
    finally:
        scorer.model.float()


def _specs(reward: Any, scorer: Any) -> list[Any]:
    from selma_core.data import Prompt

    return [reward._evaluator.spec(Prompt(id=text, text=text), scorer) for text in TEXTS]


def _double(encoded: Any) -> Any:
    if isinstance(encoded, tuple):
        return tuple(_double(one) for one in encoded)
    return encoded.double() if encoded.is_floating_point() else encoded


@pytest.mark.parametrize(("kind", "options", "tolerance"), CASES, ids=NAMES)
def test_a_step_along_the_gradient_raises_the_reward(
    kind: Any, options: Any, tolerance: float, context: FakeContext
) -> None:
    """Through the call that a trainer makes, in a batch; the model itself stays as it is."""
    reward = made(kind, options, context)
    torch.manual_seed(1)
    images = (torch.rand(2, 3, 40, 52) * 0.4 + 0.3).requires_grad_(True)
    before = reward(images, TEXTS)
    (gradient,) = torch.autograd.grad(before.sum(), images)
    assert (gradient.flatten(1).abs().amax(1) > 0).all()
    step = 0.02 * gradient / gradient.flatten(1).norm(dim=1)[:, None, None, None]
    with torch.no_grad():
        assert (reward(images + step, TEXTS) > before).all()
    assert all(
        weight.grad is None and not weight.requires_grad
        for weight in reward._evaluator.ready(context).model.parameters()
    )


def test_a_rule_scales_scores_not_rewards(context: FakeContext) -> None:
    images = torch.rand(2, 3, 40, 40)
    plain, scaled = (made(ClipScoreReward, ClipScoreOptions(rule=rule), context) for rule in ("cosine", "x100"))
    assert torch.equal(plain(images, TEXTS), scaled(images, TEXTS))
    assert plain.info.rules == scaled.info.rules == ("cosine",)
    assert made(PickScoreReward, PickScoreOptions(rule="cosine"), context).info.rules == ("official",)


def test_half_precision_images_and_a_repeated_prompt(context: FakeContext) -> None:
    reward = made(PickScoreReward, PickScoreOptions(), context)
    images = torch.rand(3, 3, 40, 40)
    full, half = reward(images, ["a cat"] * 3), reward(images.bfloat16(), ["a cat"] * 3)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, atol=0.5, rtol=0.1)
    assert list(reward._encoded) == ["a cat"]


def test_wrong_calls_are_refused(context: FakeContext) -> None:
    with pytest.raises(StageError, match="has no context"):
        PickScoreReward(PickScoreOptions())(torch.rand(1, 3, 8, 8), ["a"])
    with pytest.raises(StageError, match="2 images but 1 prompts"):
        made(PickScoreReward, PickScoreOptions(), context)(torch.rand(2, 3, 8, 8), ["a"])


def test_every_record_names_its_own_reward() -> None:
    import importlib

    for record in selma_evaluators():
        module, _, name = (record.reward or "").partition(":")
        kind = getattr(importlib.import_module(module), name)
        assert kind.evaluator.metric.name == record.name
        assert f"{kind.evaluator.__module__}:{kind.evaluator.__name__}" == record.factory
        assert isinstance(kind(record.options()), Reward)

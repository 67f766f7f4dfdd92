"""`shapes_denscore`: which near mistakes the world's CLIP-like model sees, its gradient, and its parts."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from selma_plugins.shapes.captions import write
from selma_plugins.shapes.clip.evaluator import ShapesDenscore, ShapesDenscoreReward, world_texts
from selma_plugins.shapes.clip.options import ShapesDenscoreOptions
from selma_plugins.shapes.corruption import add_absent, miscount, mistake_shape, swap_colors, swap_sizes
from selma_plugins.shapes.render import render
from selma_plugins.shapes.scene import random_scene
from selma_plugins.shapes.spec import describe

from selma_core.data import Entry, ImageItem, Prompt
from selma_core.testing import FakeContext, check_evaluator
from tests.shapes.near_misses import near_misses, turned


@pytest.fixture
def context(root: Path, tmp_path: Path) -> FakeContext:
    weights = root / "registry/selma_registry/models/weights"
    entries = {
        ("models", name): Entry(section="models", name=name, provider="x", data={}, pin="sha256:1", path=weights / name)
        for name in ("shapes_judge", "shapes_base")
    }
    return FakeContext(workdir=tmp_path, entries=entries)


@pytest.fixture
def reward(context: FakeContext) -> ShapesDenscoreReward:
    made = ShapesDenscoreReward(ShapesDenscoreOptions())
    made.attach(context)
    return made


@pytest.mark.parametrize(
    ("mistake", "least", "most"),
    [
        (swap_colors, 0.97, 1.0),
        (mistake_shape, 0.97, 1.0),
        (lambda spec, rng: swap_sizes(spec), 0.95, 1.0),
        (add_absent, 0.95, 1.0),
        (miscount, 0.55, 0.95),
        (turned, 0.3, 0.7),  # a bag of objects has no relations
    ],
)
@torch.no_grad()
def test_which_near_mistakes_it_sees(reward: Any, mistake: Any, least: float, most: float) -> None:
    texts, right, wrong = near_misses(mistake)
    better, worse = (reward.parts(pictures, texts)["total"] for pictures in (right, wrong))
    assert least <= float((better > worse).float().mean()) <= most
    assert float(better.max()) <= 1 + 1e-5


def test_the_gradient_by_finite_differences(reward: Any) -> None:
    texts, right, wrong = near_misses(swap_colors)
    images = (0.5 * right[:2] + 0.5 * wrong[:2]).requires_grad_(True)
    values = reward(images, texts[:2])
    (gradient,) = torch.autograd.grad(values.sum(), images)
    with torch.no_grad():
        step = 0.05 * gradient / gradient.norm()
        rise = reward(images + step, texts[:2]).sum() - reward(images - step, texts[:2]).sum()
    assert float(rise) == pytest.approx(float(2 * (step * gradient).sum()), rel=0.05)


def test_its_common_direction_is_that_of_captions_of_the_world(context: FakeContext) -> None:
    scorer: Any = ShapesDenscore(ShapesDenscoreOptions()).ready(context)
    eta = scorer.features(world_texts()) @ scorer.fit_common_direction(world_texts())
    assert float(eta.mean()) == pytest.approx(float(scorer.features(world_texts()).mean(0).norm()), abs=1e-5)


def test_conformance(context: FakeContext, tmp_path: Path) -> None:
    rng, items = Random(3), []
    for n in range(3):
        scene = random_scene(rng)
        path = tmp_path / f"{n}.png"
        render(scene).save(path)
        prompt = Prompt(id=f"p{n}", text=write(describe(scene), "general", rng))
        items.append(ImageItem(item_id=f"p{n}-0", prompt=prompt, path=path, sha256=str(n), k=0))
    options = ShapesDenscoreOptions()
    summary = check_evaluator(ShapesDenscore, options, items=items, workdir=tmp_path, context=context)
    assert summary.n_atoms == 3
    assert summary.mean is not None
    assert summary.mean > 0.6

"""The learned judge: what it reads, that it prefers the right picture, and that it is an ordinary evaluator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import fmean

import numpy as np
import pytest
import torch
from selma_plugins.shapes.captions import style_for, write
from selma_plugins.shapes.corruption import corrupt
from selma_plugins.shapes.judge.evaluator import ShapesJudge
from selma_plugins.shapes.judge.options import JudgeOptions
from selma_plugins.shapes.judge.reader import ImageReader, TextReader, load_judge, save_judge
from selma_plugins.shapes.render import pixels, render
from selma_plugins.shapes.scene import random_scene
from selma_plugins.shapes.spec import describe
from selma_plugins.shapes.train.judge import look_loss, read_rightly, truth_of
from selma_plugins.shapes.train.vae import to_tensor

from selma_core.catalog import Catalog
from selma_core.data import ImageItem, Prompt
from selma_core.files import sha256_file
from selma_core.registry import Registry
from selma_core.testing import FakeContext, check_evaluator


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry(Catalog.discover().registry_sources())


@pytest.fixture
def context(registry: Registry, tmp_path: Path) -> FakeContext:
    names = ("shapes_judge", "shapes_base")
    return FakeContext(workdir=tmp_path, entries={("models", n): registry.entry("models", n) for n in names})


@pytest.fixture
def items(tmp_path: Path) -> Callable[..., list[ImageItem]]:
    def make(pairs: list[tuple[str, object]]) -> list[ImageItem]:
        found = []
        for number, (text, image) in enumerate(pairs):
            path = tmp_path / f"{number}.png"
            image.save(path)  # type: ignore[attr-defined]
            prompt = Prompt(id=f"p{number}", text=text)
            found.append(ImageItem(item_id=f"p{number}-0", prompt=prompt, path=path, sha256=sha256_file(path), k=0))
        return found

    return make


def scores(items: list[ImageItem], context: FakeContext) -> list[float]:
    judge = ShapesJudge(JudgeOptions())
    specs = judge.prepare([item.prompt for item in items], context)
    rows = judge.observe(items, specs, context)
    return [judge.score(row.atoms, specs[row.prompt_id], "geometric") or 0.0 for row in rows]


def test_it_reads_drawn_pictures(registry: Registry) -> None:
    folder = registry.entry("models", "shapes_judge").path
    assert folder is not None
    reader, _ = load_judge(folder)
    rng = Random(77)
    scenes = [random_scene(rng) for _ in range(200)]
    looks = reader(to_tensor(np.stack([pixels(scene) for scene in scenes])))
    assert read_rightly(looks, truth_of(scenes)) > 0.9


def test_the_right_picture_scores_above_a_near_wrong_one(
    context: FakeContext, items: Callable[..., list[ImageItem]]
) -> None:
    rng, pairs = Random(78), []
    while len(pairs) < 160:
        scene = random_scene(rng)
        spec = describe(scene)
        wrong = corrupt(spec, rng, 2.0)
        if wrong != spec:
            pairs += [(write(s, style_for(s, rng), rng), render(scene)) for s in (spec, wrong)]
    values = scores(items(pairs), context)
    right, near = values[::2], values[1::2]
    assert fmean(a > b for a, b in zip(right, near, strict=True)) > 0.9
    assert fmean(right) > fmean(near) + 0.3


def test_it_is_an_evaluator(context: FakeContext, items: Callable[..., list[ImageItem]], tmp_path: Path) -> None:
    rng = Random(5)
    scenes = [random_scene(rng) for _ in range(3)]
    pairs = [(write(describe(scene), "general", rng), render(scene)) for scene in scenes]
    check_evaluator(ShapesJudge, JudgeOptions(), items=items(pairs), workdir=tmp_path, context=context)


def test_a_prompt_that_says_nothing_has_no_score(context: FakeContext, items: Callable[..., list[ImageItem]]) -> None:
    judge = ShapesJudge(JudgeOptions())
    [item] = items([("", render(random_scene(Random(1))))])
    assert judge.score((), {"facts": []}, "geometric") is None
    judge.prepare([item.prompt], context)


def test_its_lesson_falls_and_the_weights_come_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rng = Random(9)
    scenes = [random_scene(rng) for _ in range(16)]
    pictures, truth = to_tensor(np.stack([pixels(s) for s in scenes])), truth_of(scenes)
    image, losses = ImageReader(), []
    optimizer = torch.optim.AdamW(image.parameters(), lr=2e-3)
    for _ in range(12):
        loss = look_loss(image(pictures), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    save_judge(tmp_path, image, TextReader())
    again, _ = load_judge(tmp_path)
    torch.testing.assert_close(again(pictures).shapes, image.eval()(pictures).shapes, atol=0.02, rtol=0.02)

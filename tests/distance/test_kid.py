"""Kernel distances: the formula from its definition, its use on pictures, what is stored and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import selma_registry
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.distance.clip import ClipKid
from selma_plugins.distance.evaluator import KernelDistance
from selma_plugins.distance.kernel import apart, kernel, packed, shares, unpacked
from selma_plugins.distance.options import KidOptions, ShapesKidOptions
from selma_plugins.distance.shapes import ShapesKid
from selma_plugins.shapes.grammar import sample_prompts, scene_of
from selma_plugins.shapes.render import render

from selma_core.data import ImageItem, Prompt
from selma_core.errors import UserError
from selma_core.files import sha256_file
from selma_core.protocols import Comparing, Evaluator
from selma_core.testing import FakeContext
from tests.preference.support import clip_model, clip_tokenizer, context_of, entry

WEIGHTS = Path(selma_registry.__file__).parent / "models" / "weights"


def by_definition(x: Any, r: Any) -> float:
    """KID, double loop by double loop."""

    def k(a: Any, b: Any) -> float:
        return float((np.dot(a, b) / len(a) + 1) ** 3)

    own = [k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]
    theirs = [k(a, b) for i, a in enumerate(r) for j, b in enumerate(r) if i != j]
    return float(np.mean(own) + np.mean(theirs) - 2 * np.mean([k(a, b) for a in x for b in r]))


@given(st.integers(2, 6), st.integers(2, 5), st.integers(1, 4), st.integers(0, 10**6))
def test_the_mean_of_the_shares_is_the_definition(m: int, n: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, r = rng.normal(size=(m, width)), rng.normal(size=(n, width))
    found = shares(x, kernel(x, r).mean(axis=1), apart(r))
    assert found.mean() == pytest.approx(by_definition(x, r), rel=1e-9, abs=1e-9)


def test_by_hand() -> None:
    # One dimension: k(a, b) = (a b + 1)^3. Images 0, 1; references 0, 2.
    x, r = np.asarray([[0.0], [1.0]]), np.asarray([[0.0], [2.0]])
    # own 1; theirs 1; across (1 + 1 + 1 + 27) / 4 = 7.5
    assert shares(x, kernel(x, r).mean(axis=1), apart(r)).mean() == pytest.approx(1 + 1 - 2 * 7.5)


def test_features_survive_json() -> None:
    feature = np.asarray([0.5, -1.25, 3.0])
    assert unpacked(packed(feature)).tolist() == feature.tolist()


def items(folder: Path, count: int, seed: int, spoil: float = 0.0) -> list[ImageItem]:
    """Rendered pictures, `spoil` of each pixel replaced by noise."""
    folder.mkdir()
    found = []
    for i, prompt in enumerate(sample_prompts("general", count, seed)):
        pixels = np.asarray(render(scene_of(prompt, i)), dtype=np.float64)
        noise = np.random.default_rng(i).uniform(0, 255, pixels.shape)
        path = folder / f"{i}.png"
        _save((1 - spoil) * pixels + spoil * noise, path)
        named = Prompt(id=f"p{i}", text=prompt.text)
        found.append(ImageItem(item_id=f"p{i}-0", prompt=named, path=path, sha256=sha256_file(path), k=0))
    return found


def _save(pixels: Any, path: Path) -> None:
    from PIL import Image

    Image.fromarray(pixels.round().astype(np.uint8)).save(path)


def judged(evaluator: KernelDistance, context: Any, pictures: list[ImageItem], references: list[ImageItem]) -> Any:
    evaluator.against(references)
    specs = evaluator.prepare([item.prompt for item in pictures], context)
    rows = list(evaluator.observe(pictures, specs, context))
    return evaluator, rows, specs


@pytest.fixture
def world(tmp_path: Path) -> FakeContext:
    return context_of(tmp_path, entry("shapes_vqa", WEIGHTS / "shapes_vqa"))


def test_spoilt_pictures_are_further_away_and_clean_ones_are_not(world: FakeContext, tmp_path: Path) -> None:
    references = items(tmp_path / "r", 60, 1)
    means = []
    for spoil in (0.0, 0.15, 0.3):
        evaluator, rows, specs = judged(
            ShapesKid(ShapesKidOptions()), world, items(tmp_path / f"{spoil}", 60, 2, spoil), references
        )
        means.append(evaluator.aggregate(rows, specs, "official").mean)
    assert abs(means[0]) < 0.05 * means[1]
    assert means[1] < means[2]


def test_stored_rows_are_scored_again_without_model_and_references(world: FakeContext, tmp_path: Path) -> None:
    evaluator, rows, specs = judged(
        ShapesKid(ShapesKidOptions()), world, items(tmp_path / "x", 6, 2), items(tmp_path / "r", 5, 1)
    )
    summary = evaluator.aggregate(rows, specs, "official")
    assert ShapesKid(ShapesKidOptions()).aggregate(list(reversed(rows)), specs, "official").mean == pytest.approx(
        summary.mean
    )
    assert not summary.higher_is_better
    assert (summary.n_images, summary.coverage) == (6, 1.0)
    assert len([prompt for prompt in summary.prompts if prompt.value is not None]) == 6
    assert evaluator.aggregate(rows[:1], specs, "official").mean is None  # one image has no distance


def test_a_broken_picture_is_missing(world: FakeContext, tmp_path: Path) -> None:
    pictures = items(tmp_path / "x", 4, 2)
    pictures[1].path.write_bytes(b"no picture")
    evaluator, rows, specs = judged(ShapesKid(ShapesKidOptions()), world, pictures, items(tmp_path / "r", 4, 1))
    assert rows[1].atoms[0].status == "error"
    assert evaluator.aggregate(rows, specs, "official").coverage == pytest.approx(0.75)


def test_references_are_needed(tmp_path: Path) -> None:
    evaluator = ShapesKid(ShapesKidOptions())
    assert isinstance(evaluator, Evaluator)
    assert isinstance(evaluator, Comparing)
    with pytest.raises(UserError, match="give its stage from: "):
        evaluator.against([])


def test_clip_features(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    clip_model(clip_tokenizer(folder)).save_pretrained(folder)
    context = context_of(tmp_path, entry("clip_vit_l14", folder))
    x, r = items(tmp_path / "x", 4, 2), items(tmp_path / "r", 3, 1)
    evaluator, rows, specs = judged(ClipKid(KidOptions()), context, x, r)
    features = [np.stack([evaluator.feature(item.path, context) for item in part]) for part in (x, r)]
    assert evaluator.aggregate(rows, specs, "official").mean == pytest.approx(by_definition(*features), rel=1e-4)

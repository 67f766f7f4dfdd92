"""`shapes_clip`: what it tells apart, and the lessons that it learnt from."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from selma_plugins.preference.clip import ClipScorer
from selma_plugins.scorer_training.model import open_start
from selma_plugins.shapes.corruption import add_absent, miscount, mistake_shape, swap_colors, swap_sizes
from selma_plugins.shapes.scene import random_scene
from selma_plugins.shapes.spec import describe
from selma_plugins.shapes.train import clip
from selma_plugins.shapes.train.redraw import Pool, drawn_batch
from selma_plugins.shapes.train.text import encode
from transformers import CLIPTextModel, CLIPTokenizer

from tests.shapes.near_misses import near_misses, turned


@pytest.fixture
def base(root: Path) -> Path:
    return root / "registry/selma_registry/models/weights/shapes_base"


@pytest.fixture(scope="module")
def bundled() -> ClipScorer:
    folder = Path(__file__).parents[2] / "registry/selma_registry/models/weights/shapes_clip"
    model, tokenizer = open_start(folder, 0, random=False)
    return ClipScorer(model.eval(), tokenizer, "sha256:1")


@pytest.mark.parametrize(
    ("mistake", "least", "most"),
    [
        (swap_colors, 0.75, 1.0),
        (mistake_shape, 0.75, 1.0),
        (lambda spec, rng: swap_sizes(spec), 0.75, 1.0),
        (add_absent, 0.9, 1.0),
        (miscount, 0.6, 0.95),
        (turned, 0.3, 0.7),  # as CLIP is said to be, blind to which is where
    ],
)
@torch.no_grad()
def test_which_near_mistakes_it_sees(bundled: ClipScorer, mistake: Any, least: float, most: float) -> None:
    texts, right, wrong = near_misses(mistake)
    said = bundled.features(texts)
    better, worse = ((bundled.see(bundled.shrink(pictures)) * said).sum(-1) for pictures in (right, wrong))
    assert least <= float((better > worse).float().mean()) <= most


def test_nearly_right_is_wrong_where_it_can_be() -> None:
    rng, seen = Random(0), 0
    for _ in range(200):
        said = describe(random_scene(rng))
        seen += clip.nearly(said, rng) != said
    assert seen > 150


def test_the_contrast_of_what_is_perfect_and_of_what_is_not() -> None:
    near = torch.tensor([True, False])
    perfect = torch.tensor([[9.0, -9, -9, 0], [-9, 9, 0, 9]])  # the second picture has no rival, whatever stands there
    loss, told = clip.contrast(perfect, near)
    assert float(loss) < 1e-6
    assert told == 1
    worse, none = clip.contrast(torch.tensor([[9.0, -9, 12, 0], [-9, 9, 0, 9]]), near)
    assert float(worse) > 0.7
    assert none == 0


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenes as rendered in the place of those that the base draws again, which takes long."""

    def made(_base: Path, count: int, seed: int) -> Pool:
        scenes = [random_scene(Random(seed + i)) for i in range(count)]
        return Pool(tuple(scenes), drawn_batch(scenes).half())

    monkeypatch.setattr(clip, "redrawn", made)
    monkeypatch.setattr(clip, "KEEP", 2)


@pytest.mark.usefixtures("pool")
def test_a_stopped_training_goes_on_as_if_it_had_not_been(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def options(name: str) -> clip.ClipTraining:
        return clip.ClipTraining(
            work=tmp_path / name, out=tmp_path / f"{name}-out", base=base, steps=5, batch=8, pool=4
        )

    whole = clip.train(options("whole"))
    real = clip.lesson_of

    def stopping(chosen: Any, pool: Any, step: int, strength: float) -> clip.Lesson:
        if step == 3:
            raise KeyboardInterrupt
        return real(chosen, pool, step, strength)

    monkeypatch.setattr(clip, "lesson_of", stopping)
    with pytest.raises(KeyboardInterrupt):
        clip.train(options("stopped"))
    assert not (tmp_path / "stopped-out").exists()
    monkeypatch.setattr(clip, "lesson_of", real)
    again = clip.train(options("stopped"))
    for (name, a), b in zip(whole.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    model, _ = open_start(tmp_path / "stopped-out", 0, random=False)  # a start for `preference_scorer`
    assert model.config.projection_dim == clip.PROJECTION


def test_the_text_tower_stays_and_both_lessons_fall(base: Path) -> None:
    torch.manual_seed(0)
    text = CLIPTextModel.from_pretrained(base / "text_encoder", dtype=torch.float32)
    tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
    student, losses = clip.Student(text), []
    scenes = tuple(random_scene(Random(i)) for i in range(4))
    pool = Pool(scenes, drawn_batch(scenes).half())
    options = clip.ClipTraining(work=Path(), out=Path(), base=base, batch=16)
    lesson = clip.lesson_of(options, pool, 0, 1.0)
    assert len(lesson.captions) == 32
    ids, frozen = encode(tokenizer, lesson.captions), [p.clone() for p in student.clip.text_model.parameters()]
    optimizer = torch.optim.AdamW([p for p in student.parameters() if p.requires_grad], lr=2e-3)
    for _ in range(12):
        logits, layout = student(lesson, ids)
        loss, _ = clip.contrast(logits, lesson.near)
        optimizer.zero_grad()
        (loss + layout).backward()
        optimizer.step()
        losses.append((loss.item(), layout.item()))
    assert losses[-1][0] < 0.9 * losses[0][0]
    assert losses[-1][1] < 0.9 * losses[0][1]
    assert all(torch.equal(a, b) for a, b in zip(frozen, student.clip.text_model.parameters(), strict=True))

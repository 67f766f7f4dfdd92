"""The lessons of `shapes_vqa`: right answers come from scenes, and a stopped training goes on where it was."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
import selma_registry
import torch
from selma_plugins.shapes.questions import questions_for
from selma_plugins.shapes.scene import Object, Scene
from selma_plugins.shapes.spec import describe
from selma_plugins.shapes.train import vqa
from selma_plugins.shapes.train.asking import CLASSES, Ask, any_scene, ask, holds
from selma_plugins.shapes.train.degrade import degrade
from selma_plugins.shapes.train.evaluate_vqa import held_out
from selma_plugins.shapes.train.gates import directions, gate_loss, targets
from selma_plugins.shapes.train.redraw import Pool, drawn_batch
from selma_plugins.shapes.vqa.network import VqaNet, encode

BASE = Path(next(iter(selma_registry.__path__))) / "models" / "weights" / "shapes_base"

STAR = Object("star", "red", "large", 16, 16)
RING = Object("ring", "blue", "small", 48, 18)
PAIR = Scene((STAR, RING), "gray")


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (Ask("whole", shape="star"), True),
        (Ask("whole", shape="circle"), False),
        (Ask("color", "red", "star"), True),
        (Ask("color", "blue", "star"), False),
        (Ask("color", "red", "circle"), False),
        (Ask("size", "small", "ring"), True),
        (Ask("count", 2, "ring"), False),
        (Ask("spatial", "left", "star", "ring"), True),
        (Ask("spatial", "right", "star", "ring"), False),
        (Ask("spatial", "above", "star", "ring"), False),
        (Ask("spatial", "left", "star", "cross"), False),
        (Ask("background", "gray"), True),
        (Ask("background", "white"), False),
    ],
)
def test_what_holds(question: Ask, expected: bool) -> None:
    assert holds(question, PAIR) is expected


def test_what_is_said_of_several_must_be_so_of_all_and_a_diagonal_is_in_doubt() -> None:
    two = Scene((STAR, Object("star", "blue", "large", 48, 48)), "white")
    assert [
        holds(Ask(kind, value, "star", plural=True), two) for kind, value in (("color", "red"), ("size", "large"))
    ] == [
        False,
        True,
    ]
    assert holds(Ask("count", 2, "star"), two) is True
    corner = Scene((STAR, Object("ring", "blue", "small", 48, 49)), "white")
    assert holds(Ask("spatial", "left", "star", "ring"), corner) is None


def test_the_exam_asks_as_the_benchmark_does() -> None:
    texts = {q.question for exam in held_out(80, 3) for q in questions_for(describe(exam.scene))}
    asked = {text for exam in held_out(80, 3) for _, text, answer in exam.questions if answer}
    assert asked == texts
    wrong = {text for exam in held_out(80, 3) for _, text, answer in exam.questions if not answer}
    assert len(wrong & texts) > 20  # the same sentences, of other scenes
    assert all(encode(text) for text in wrong)


def test_about_half_of_the_answers_are_yes_in_every_class() -> None:
    rng, seen = Random(0), Counter()
    for _ in range(3000):
        scene = any_scene(rng)
        found, answer = ask(scene, rng)
        assert holds(found, scene) is answer
        seen[found.kind, answer] += 1
    for kind in CLASSES:
        share = seen[kind, True] / (seen[kind, True] + seen[kind, False])
        assert 0.35 < share < 0.7, kind


def test_gates_are_taught_where_things_are_and_the_compass_where_they_stand() -> None:
    row = [Ask("spatial", "left", "star", "ring"), Ask("color", "red", "star"), Ask("color", "blue", "star")]
    row += [Ask("background", "gray"), Ask("background", "black"), Ask("whole", shape="cross")]
    wanted = targets([PAIR], [row])[0].view(len(row), 4, 16, 16)
    assert wanted[0, 0, 4, 4] == wanted[0, 1, 4, 12] == 1  # the star, the ring
    assert wanted[0, 0].sum() > wanted[0, 1].sum() > 0
    assert wanted[0, 3].nonzero().tolist() == [[4, 4]]
    assert torch.equal(wanted[1, 2], wanted[1, 0])
    assert wanted[2, 2].sum() == wanted[4].sum() == wanted[5].sum() == 0
    assert wanted[3, 2].sum() == 256 - wanted[0, 0].sum() - wanted[0, 1].sum()
    assert directions([row])[0, :2].tolist() == [[-1, 0], [0, 0]]
    perfect = 20 * torch.cat([wanted.view(1, len(row), 4, 256), torch.zeros(1, len(row), 2, 256)], dim=2) - 10
    assert gate_loss(perfect, wanted.view(1, len(row), 4, 256)) < 0.01
    assert gate_loss(-perfect, wanted.view(1, len(row), 4, 256)) > 5


def test_spoilt_pictures_differ_by_strength_and_stay_in_range() -> None:
    pictures = drawn_batch([any_scene(Random(seed)) for seed in range(24)])
    errors = []
    for strength in (0.0, 0.5, 1.0):
        spoilt = degrade(pictures, strength, torch.Generator().manual_seed(1))
        assert spoilt.shape == pictures.shape
        assert spoilt.abs().max() <= 1
        errors.append(float((spoilt - pictures).abs().mean()))
    assert errors[0] < 0.005
    assert errors[0] < errors[1] < errors[2]


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenes as rendered in the place of those that the base draws again, which takes long."""

    def pool(_base: Path, count: int, seed: int) -> Pool:
        scenes = [any_scene(Random(seed + i)) for i in range(count)]
        return Pool(tuple(scenes), drawn_batch(scenes).half())

    monkeypatch.setattr(vqa, "redrawn", pool)
    monkeypatch.setattr(vqa, "decoded", pool)
    monkeypatch.setattr(vqa, "KEEP", 2)


@pytest.mark.usefixtures("pools")
def test_a_stopped_training_goes_on_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def options(name: str) -> vqa.VqaTraining:
        return vqa.VqaTraining(
            work=tmp_path / name, out=tmp_path / f"{name}-out", base=BASE, steps=5, batch=8, questions=3, pool=4
        )

    whole = vqa.train(options("whole"))
    real = vqa.lesson_of

    def stopping(chosen: Any, pools: Any, step: int, strength: float) -> vqa.Lesson:
        if step == 3:
            raise KeyboardInterrupt
        return real(chosen, pools, step, strength)

    monkeypatch.setattr(vqa, "lesson_of", stopping)
    with pytest.raises(KeyboardInterrupt):
        vqa.train(options("stopped"))
    assert not (tmp_path / "stopped-out").exists()
    monkeypatch.setattr(vqa, "lesson_of", real)
    again = vqa.train(options("stopped"))
    for (name, a), b in zip(whole.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert (tmp_path / "stopped-out" / "model.safetensors").exists()


def test_all_lessons_fall_together() -> None:
    torch.manual_seed(0)
    options = vqa.VqaTraining(work=Path(), out=Path(), base=BASE, batch=16, questions=6)
    student, losses = vqa.Student(), []
    optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3)
    lesson = vqa.lesson_of(options, [], 0, 0.0)
    assert set(lesson.answers.unique().tolist()) == {0.0, 1.0}
    for _ in range(12):
        logits, others = student(lesson)
        loss = others + torch.nn.functional.binary_cross_entropy_with_logits(logits, lesson.answers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert isinstance(student.net, VqaNet)

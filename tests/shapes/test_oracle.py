"""The oracle: right on rendered scenes in every class of question, "no" where nothing is."""

from collections import defaultdict
from random import Random

import numpy as np
import pytest
from PIL import Image, ImageFilter
from selma_plugins.shapes.oracle import answer
from selma_plugins.shapes.perception import perceive
from selma_plugins.shapes.questions import ASKED, questions_for
from selma_plugins.shapes.render import render
from selma_plugins.shapes.scene import (
    BACKGROUNDS,
    COLORS,
    RELATIONS,
    SHAPES,
    SIZES,
    Scene,
    random_scene,
)
from selma_plugins.shapes.spec import Spec, describe
from selma_plugins.shapes.words import NUMBERS, PLURALS

CLASSES = ("whole", "color", "size", "count", "spatial", "background")


def scenes(n: int, seed: int) -> list[Scene]:
    rng = Random(seed)
    return [random_scene(rng) for _ in range(n)]


def false_questions(scene: Scene) -> list[tuple[str, str]]:
    """Questions of each class of which the answer is "no" for a scene, with their class."""
    spec = describe(scene)
    shapes = {g.shape for g in spec.groups}
    asked = [("whole", f"Is there a {s}?") for s in SHAPES if s not in shapes]
    for g in spec.groups:
        verb, name = ("Is", g.shape) if g.count == 1 else ("Are", PLURALS[g.shape])
        asked += [("color", f"{verb} the {name} {c}?") for c in COLORS if c != g.color]
        asked += [("size", f"{verb} the {name} {s}?") for s in SIZES if s != g.size]
        counts = (n for n in (2, 3, 4) if n != g.count)
        asked += [("count", f"Are there {NUMBERS[n][0]} {PLURALS[g.shape]}?") for n in counts]
    for link in spec.relations:
        first, second = spec.groups[link.first].shape, spec.groups[link.second].shape
        wrong = (w for w in RELATIONS if w != link.where)
        asked += [("spatial", f"Is the {first} {ASKED[w]} the {second}?") for w in wrong]
    wrong = (b for b in BACKGROUNDS if b != scene.background)
    return asked + [("background", f"Is the background {b}?") for b in wrong]


def accuracy(blur: float, count: int) -> dict[tuple[str, str], float]:
    """Share of right answers by (class, right answer)."""
    marks: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for scene in scenes(count, seed=5):
        image = render(scene).filter(ImageFilter.GaussianBlur(blur))
        for q in questions_for(describe(scene)):
            marks[q.category_detailed, "yes"].append(answer(image, q.question) == "yes")
        for kind, question in false_questions(scene):
            marks[kind, "no"].append(answer(image, question) == "no")
    return {key: sum(right) / len(right) for key, right in marks.items()}


def test_rendered_scenes_are_answered_rightly_in_every_class() -> None:
    found = accuracy(blur=0, count=300)
    assert set(found) == {(c, a) for c in CLASSES for a in ("yes", "no")}
    assert min(found.values()) >= 0.99, found


def test_slightly_blurred_scenes_are_still_read() -> None:
    assert min(accuracy(blur=0.6, count=120).values()) >= 0.97


def all_questions() -> list[str]:
    asked = {q.question for s in scenes(60, seed=9) for q in questions_for(describe(s))}
    return sorted(asked)


@pytest.mark.parametrize("color", [(255, 255, 255), (0, 0, 0), (128, 128, 128), (220, 20, 30)])
def test_a_blank_image_gets_no(color: tuple[int, int, int]) -> None:
    image = Image.new("RGB", (64, 64), color)
    assert {answer(image, q) for q in all_questions()} == {"no"}


@pytest.mark.parametrize("seed", range(5))
def test_noise_gets_no(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    blurred = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(3))
    for image in (Image.fromarray(noise), blurred):
        assert {answer(image, q) for q in all_questions()} == {"no"}


def test_a_question_of_another_world_is_named() -> None:
    with pytest.raises(ValueError, match="Is the dog asleep"):
        answer(Image.new("RGB", (64, 64)), "Is the dog asleep?")


def test_a_larger_picture_is_read_as_well() -> None:
    scene = scenes(1, seed=3)[0]
    large = render(scene).resize((256, 256), Image.Resampling.NEAREST)
    assert len(perceive(large).objects) == len(scene.objects)


def test_perception_finds_what_was_drawn() -> None:
    for scene in scenes(100, seed=11):
        view = perceive(render(scene))
        seen = sorted((o.shape, o.color, o.size, round(o.cx), round(o.cy)) for o in view.objects)
        # The centre of mass of a triangle lies below the centre of its box.
        drawn = sorted((o.shape, o.color, o.size) for o in scene.objects)
        assert [s[:3] for s in seen] == drawn
        assert view.background == scene.background


def test_an_open_spec_asks_only_what_it_says() -> None:
    scene = scenes(1, seed=4)[0]
    spec = Spec(tuple(describe(scene).groups))
    assert all(q.category_detailed != "background" for q in questions_for(spec))

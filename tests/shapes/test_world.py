"""Scenes and their pictures: inside, apart, complete, and repeatable."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selma_plugins.shapes.render import BACKDROP, PALETTE, pixels, render, stamp
from selma_plugins.shapes.scene import (
    BACKGROUNDS,
    CANVAS,
    COLORS,
    GAP,
    RADII,
    RARE_PAIRS,
    RARE_SHARE,
    SHAPES,
    Object,
    Scene,
    random_scene,
    relation,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9))
def test_objects_lie_inside_and_apart(seed: int) -> None:
    scene = random_scene(Random(seed))
    assert 1 <= len(scene.objects) <= 4
    for i, a in enumerate(scene.objects):
        assert min(a.cx, a.cy) - a.radius >= 0
        assert max(a.cx, a.cy) + a.radius <= CANVAS - 1
        for b in scene.objects[:i]:
            reach = max(abs(a.cx - b.cx), abs(a.cy - b.cy))
            assert reach >= a.radius + b.radius + GAP


def test_a_seed_gives_one_scene_and_one_picture() -> None:
    first, second = (random_scene(Random(7)) for _ in range(2))
    assert first == second
    assert render(first).tobytes() == render(second).tobytes()


def test_a_picture_has_its_size_and_its_background() -> None:
    image = render(Scene((), "gray"))
    assert (image.size, image.mode) == ((64, 64), "RGB")
    assert set(np.unique(np.asarray(image))) == {128}


def test_edges_are_anti_aliased() -> None:
    for shape in SHAPES:
        cover = stamp(shape, RADII["large"])
        assert ((cover > 0) & (cover < 1)).any(), shape
        assert cover.max() == 1.0


def test_names_and_colours_agree() -> None:
    assert set(PALETTE) == set(COLORS)
    assert set(BACKDROP) == set(BACKGROUNDS)
    assert len(SHAPES) >= 6
    assert len(COLORS) == 8


def test_an_object_has_its_colour_at_its_centre() -> None:
    scene = Scene((Object("circle", "cyan", "small", 20, 30),), "black")
    assert tuple(pixels(scene)[30, 20]) == PALETTE["cyan"]


@pytest.mark.parametrize(
    ("offset", "where"),
    [((-20, 3), "left"), ((20, 3), "right"), ((2, -20), "above"), ((2, 20), "below")],
)
def test_a_clear_relation_is_named(offset: tuple[int, int], where: str) -> None:
    here = Object("star", "red", "small", 32, 32)
    there = Object("ring", "red", "small", 32 + offset[0], 32 + offset[1])
    assert relation(there, here) == where


def test_a_doubtful_relation_is_not_named() -> None:
    here = Object("star", "red", "small", 20, 20)
    assert relation(Object("ring", "red", "small", 40, 39), here) is None
    assert relation(Object("ring", "red", "small", 29, 20), here) is None


def test_rare_pairs_are_rare() -> None:
    rng = Random(0)
    seen = {(o.shape, o.color): 0 for o in ()}
    for _ in range(4000):
        for look in {(o.shape, o.color) for o in random_scene(rng).objects}:
            seen[look] = seen.get(look, 0) + 1
    usual = np.mean([n for pair, n in seen.items() if pair not in RARE_PAIRS])
    rare = np.mean([seen.get(pair, 0) for pair in RARE_PAIRS])
    assert 0.6 * RARE_SHARE < rare / usual < 1.5 * RARE_SHARE

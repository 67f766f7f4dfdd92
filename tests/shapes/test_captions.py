"""Captions: true where they are clean, wrong in the stated shares, inside the vocabulary."""

from random import Random

import pytest
from selma_plugins.shapes import corruption
from selma_plugins.shapes.captions import STYLES, training_caption, write
from selma_plugins.shapes.corruption import corrupt
from selma_plugins.shapes.scene import MAX_OBJECTS, RARE_PAIRS, random_scene
from selma_plugins.shapes.spec import Group, Relation, Spec, describe
from selma_plugins.shapes.words import VOCABULARY, fits, split, unknown_words

PAIR = Spec(
    (Group("circle", "red", "small"), Group("square", "blue", "large")),
    (Relation(0, "left", 1),),
    "gray",
)


def share(spec: Spec, wrong: str, n: int = 4000) -> float:
    """How often corruption changes one kind of fact of a spec."""
    rng, hits = Random(1), 0
    for _ in range(n):
        said = corrupt(spec, rng)
        if wrong == "color":
            hits += {g.shape: g.color for g in said.groups}.get("circle", "red") != "red"
        elif wrong == "relation":
            hits += said.relations != spec.relations
        else:
            hits += said.groups[0].count != spec.groups[0].count
    return hits / n


def test_colours_relations_and_counts_are_wrong_in_the_stated_shares() -> None:
    assert share(PAIR, "color") == pytest.approx(corruption.SWAPPED_COLORS, abs=0.03)
    assert share(PAIR, "relation") == pytest.approx(corruption.REVERSED_RELATION, abs=0.03)
    three = Spec((Group("star", "blue", "small", 3),))
    assert share(three, "count") == pytest.approx(corruption.WRONG_COUNT, abs=0.03)


def test_half_of_the_captions_are_wrong_and_single_objects_nearly_never() -> None:
    rng = Random(3)
    specs = [describe(random_scene(rng)) for _ in range(4000)]
    wrong = [corrupt(s, rng) != s for s in specs]
    assert 0.42 < sum(wrong) / len(wrong) < 0.56
    alone = [w for s, w in zip(specs, wrong, strict=True) if describe_alone(s)]
    assert sum(alone) / len(alone) < 0.16


def describe_alone(spec: Spec) -> bool:
    return len(spec.groups) == 1 and spec.groups[0].count == 1


def test_strength_zero_is_clean_and_an_eighth_is_nearly_so() -> None:
    rng = Random(3)
    specs = [describe(random_scene(rng)) for _ in range(3000)]
    assert all(corrupt(s, rng, 0.0) == s for s in specs)
    assert 0.05 < sum(corrupt(s, rng, 0.12) != s for s in specs) / len(specs) < 0.11


def test_a_corrupted_spec_is_still_a_scene_that_could_be() -> None:
    rng = Random(8)
    for _ in range(3000):
        said = corrupt(describe(random_scene(rng)), rng)
        shapes = [g.shape for g in said.groups]
        assert len(set(shapes)) == len(shapes)
        assert 1 <= sum(g.count for g in said.groups) <= MAX_OBJECTS


def test_mistakes_seldom_make_rare_pairs() -> None:
    rng, made = Random(2), 0
    for _ in range(4000):
        spec = describe(random_scene(rng))
        before = {(g.shape, g.color) for g in spec.groups} & RARE_PAIRS
        made += bool(({(g.shape, g.color) for g in corrupt(spec, rng).groups} & RARE_PAIRS) - before)
    assert made / 4000 < 0.03


def test_captions_stay_in_the_vocabulary_and_fit() -> None:
    rng = Random(4)
    for _ in range(3000):
        _, text = training_caption(random_scene(rng), rng)
        assert not unknown_words(text), text
        assert fits(text), text
    assert len(VOCABULARY) <= 250


@pytest.mark.parametrize("style", STYLES)
def test_a_text_names_every_fact_of_its_spec(style: str) -> None:
    for seed in range(40):
        words = set(split(write(PAIR, style, Random(seed))))
        assert {"red", "circle", "blue", "square", "gray"} <= words
        assert words & {"small", "little", "tiny"}
        assert words & {"large", "big", "huge"}
        assert words & {"left", "right"}


def test_the_caption_of_a_scene_is_true_without_mistakes() -> None:
    rng = Random(6)
    for _ in range(500):
        scene = random_scene(rng)
        said, _ = training_caption(scene, rng, strength=0.0)
        full = describe(scene)
        truth = {g.shape: g for g in full.groups}
        for group in said.groups:
            assert group.count == truth[group.shape].count
            assert group.color in (None, truth[group.shape].color)
        for link in said.relations:
            first = said.groups[link.first].shape
            turned = full.groups[full.relations[0].first].shape != first
            assert (link.where == full.relations[0].where) != turned

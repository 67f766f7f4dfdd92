"""The bundled skills."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from selma_plugins.prompts.skill import read_skill
from selma_plugins.shapes.grammar import SKILLS, fits, held_out_texts, unknown_words

from selma_core.data import Entry

Bundled = Callable[[str], dict[str, Entry]]


def test_the_papers_five_and_three_more_are_there(bundled: Bundled) -> None:
    names = {"paragraph", "count", "real_user", "counterfactual", "general", "relation", "pose", "text_rendering"}
    assert names <= set(bundled("skills"))


def test_every_skill_is_whole_and_its_seeds_obey_it(bundled: Bundled) -> None:
    for entry in bundled("skills").values():
        skill = read_skill(entry, demos=3)
        assert entry.data["summary"]
        assert isinstance(entry.data["flip"], bool)
        assert all(len(seed.split()) <= skill.max_words for seed in skill.seeds), entry.name
        assert len(set(skill.seeds)) == len(skill.seeds)


def test_images_are_not_mirrored_where_the_prompt_tells_left_from_right(bundled: Bundled) -> None:
    for entry in bundled("skills").values():
        sided = any(word in f" {seed.lower()} " for seed in entry.data["seeds"] for word in (" left ", " right ", '"'))
        assert not (sided and entry.data["flip"]), entry.name


@pytest.mark.parametrize("skill", SKILLS)
def test_the_shapes_skills_stay_in_the_world_and_out_of_its_test_sets(bundled: Bundled, skill: str) -> None:
    found = read_skill(bundled("skills")[f"shapes_{skill}"], demos=6)
    assert found.label == skill
    for seed in found.seeds:
        assert unknown_words(seed) == ()
        assert fits(seed)
        assert seed not in held_out_texts()

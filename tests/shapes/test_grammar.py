"""Prompts: distinct, deterministic, of their skill, held-out splits apart."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selma_plugins.shapes.grammar import (
    EVERY_SKILL,
    SKILLS,
    benchmark_prompts,
    fits,
    held_out_texts,
    in_vocabulary,
    long_prompts,
    prompts_by_length,
    sample_prompts,
    scene_of,
    unknown_words,
    validation_prompts,
)
from selma_plugins.shapes.oracle import answer
from selma_plugins.shapes.questions import questions_of
from selma_plugins.shapes.reading import read
from selma_plugins.shapes.render import render
from selma_plugins.shapes.scene import RARE_PAIRS
from selma_plugins.shapes.words import split


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(EVERY_SKILL), st.integers(0, 10**6), st.integers(1, 40))
def test_prompts_are_distinct_known_and_short(skill: str, seed: int, n: int) -> None:
    prompts = sample_prompts(skill, n, seed)
    assert len({p.text for p in prompts}) == n
    assert prompts == sample_prompts(skill, n, seed)
    assert prompts[: n // 2] == sample_prompts(skill, n // 2, seed)
    for p in prompts:
        assert p.skill == skill
        assert in_vocabulary(p.text)
        assert fits(p.text) or skill == "long"
        assert 1 <= sum(g.count for g in p.spec.groups) <= 4


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(EVERY_SKILL), st.integers(0, 10**6))
def test_questions_form_a_tree_in_order(skill: str, seed: int) -> None:
    for prompt in sample_prompts(skill, 5, seed):
        for number, q in enumerate(questions_of(prompt), start=1):
            assert q.proposition_id == number
            assert q.dependency == (0,) or all(0 < d < number for d in q.dependency)
            assert q.question.endswith("?")


def test_the_benchmark_is_as_promised() -> None:
    prompts = benchmark_prompts()
    assert Counter(p.skill for p in prompts) == dict.fromkeys(SKILLS, 65)
    assert len({p.text for p in prompts}) == 325
    alone = sum(len(p.spec.groups) == 1 and p.spec.groups[0].count == 1 for p in prompts)
    assert 0.08 < alone / 325 < 0.18


def test_held_out_splits_are_apart() -> None:
    benchmark = {p.text for p in benchmark_prompts()}
    validation = {p.text for p in validation_prompts(500)}
    assert not benchmark & validation
    held = held_out_texts()
    assert held == benchmark | validation | {p.text for p in prompts_by_length()}
    for skill in EVERY_SKILL:
        assert not held & {p.text for p in sample_prompts(skill, 200, 1, exclude=held)}


def test_counterfactual_prompts_name_a_rare_pair() -> None:
    for p in sample_prompts("counterfactual", 100, 3):
        assert {(g.shape, g.color) for g in p.spec.groups} & RARE_PAIRS


def test_a_scene_of_a_prompt_satisfies_all_its_questions() -> None:
    for skill in EVERY_SKILL:
        for seed, p in enumerate(sample_prompts(skill, 25, 11)):
            image = render(scene_of(p, seed))
            wrong = [q.question for q in questions_of(p) if answer(image, q.question) != "yes"]
            assert not wrong, (p.text, wrong)


def test_long_scenes_go_on_after_what_a_short_window_reads() -> None:
    prompts = long_prompts()
    assert len({p.text for p in prompts}) == 120
    for p in prompts:
        window = " ".join(split(p.text)[:30])  # of 32 tokens, two mark begin and end
        assert p.spec.groups[-1].shape not in window
        assert all(len(split(sentence)) <= 11 for sentence in p.text.split(" ."))


def test_unknown_words_are_named() -> None:
    assert unknown_words("a Red dog on 7 circles") == ("dog", "7")
    assert not in_vocabulary("a happy circle")
    assert not fits("red " * 45)


def test_unknown_skills_and_too_many_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown skill 'poetry'"):
        sample_prompts("poetry", 1, 0)
    with pytest.raises(ValueError, match="500"):
        validation_prompts(501)


def test_a_long_scene_told_in_part_says_that_part() -> None:
    prompts, whole = prompts_by_length(), long_prompts()
    assert [p.text for p in prompts if p.skill == "four"] == [p.text for p in whole]
    for n, word in enumerate(("one", "two", "three"), start=1):
        part = [p for p in prompts if p.skill == word]
        assert len(part) == len(whole)
        for short, full in zip(part, whole, strict=True):
            assert short.spec == read(short.text)
            assert short.spec.groups == full.spec.groups[:n]
            assert short.spec.background == full.spec.background

"""Ground truth: what a prompt says is read back from its text, and rendered so that the oracle finds it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selma_plugins.shapes.corruption import OPPOSITE
from selma_plugins.shapes.grammar import EVERY_SKILL, benchmark_prompts, sample_prompts
from selma_plugins.shapes.options import ScenesOptions
from selma_plugins.shapes.oracle import answer
from selma_plugins.shapes.questions import questions_of
from selma_plugins.shapes.reading import read
from selma_plugins.shapes.scenes import Scenes
from selma_plugins.shapes.spec import Group, Spec

import selma_core
from selma_core.data import ImageRequest, Prompt
from selma_core.errors import UserError
from selma_core.protocols import ImageJob
from selma_core.testing import FakeContext, check_image_generator

Facts = tuple[frozenset[Group], frozenset[tuple[str, str, str]], str | None]


def facts(spec: Spec) -> Facts:
    """A spec without its order: each relation from both ends."""
    ends = [(spec.groups[r.first].shape, r.where, spec.groups[r.second].shape) for r in spec.relations]
    return frozenset(spec.groups), frozenset(ends + [(b, OPPOSITE[w], a) for a, w, b in ends]), spec.background


def test_every_prompt_of_the_benchmark_is_read_back() -> None:
    for prompt in benchmark_prompts():
        assert facts(read(prompt.text)) == facts(prompt.spec), prompt.text


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(EVERY_SKILL), st.integers(0, 10**6))
def test_whatever_the_grammar_writes_is_read_back(skill: str, seed: int) -> None:
    for prompt in sample_prompts(skill, 10, seed):
        assert facts(read(prompt.text)) == facts(prompt.spec), prompt.text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a picture", "no shape"),
        ("a red circle and a blue circle", "twice"),
        ("two red circles and three blue stars", "more than 4"),
        ("red circles", "how many"),
        ("three red circle", "not circles"),
        ("a circle with a black star", "'black'"),
        ("a red circle on the left", "of which two"),
        ("two red circles left of a star", "single objects"),
        ("a circle above a star above a ring", "single objects"),
        ("a red elephant", "no shape"),
        ("a red circle and an elephant", "'elephant'"),
    ],
)
def test_what_the_world_cannot_show_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read(text)


def job(tmp_path: Path, *texts: str, adapter: Path | None = None) -> ImageJob:
    requests = [ImageRequest(prompt=Prompt(id=f"p{i}", text=text), k=0, seed=i) for i, text in enumerate(texts)]
    return ImageJob(context=FakeContext(workdir=tmp_path), requests=tuple(requests), adapter=adapter)


def test_the_oracle_finds_nearly_everything_in_the_pictures(tmp_path: Path) -> None:
    prompts = benchmark_prompts()
    drawn = [image for _, image in Scenes(ScenesOptions()).images(job(tmp_path, *(p.text for p in prompts)))]
    right = [
        answer(image, q.question) == "yes" for p, image in zip(prompts, drawn, strict=True) for q in questions_of(p)
    ]
    assert sum(right) / len(right) > 0.99


def test_a_picture_depends_on_its_own_request_only(tmp_path: Path) -> None:
    check_image_generator(Scenes, ScenesOptions(), workdir=tmp_path)


def test_seeds_give_different_pictures_of_one_prompt(tmp_path: Path) -> None:
    text = "a red circle to the left of a blue square"
    images = [image.tobytes() for _, image in Scenes(ScenesOptions()).images(job(tmp_path, *[text] * 4))]
    assert len(set(images)) == 4


def test_a_prompt_that_is_not_of_the_world_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'p1' \(a cat\): it names no shape"):
        list(Scenes(ScenesOptions()).images(job(tmp_path, "a star", "a cat")))


def test_an_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="takes no adapter"):
        list(Scenes(ScenesOptions()).images(job(tmp_path, "a star", adapter=tmp_path / "a.safetensors")))


def test_it_stands_in_a_recipe(tmp_path: Path) -> None:
    changes = ["stages.sample={use: shapes_scenes, options: {k: 1}}", "stages.bench.options.limit=20"]
    run = selma_core.run("shapes_validation", changes, store=tmp_path / "store")
    assert run.ok, [node.error for node in run.failed]
    assert run.result["scores"]["base"]["dsg"]["mean"] > 98

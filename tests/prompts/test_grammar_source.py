"""The shapes world's own prompts as a prompt source."""

from __future__ import annotations

from typing import Any

import pytest
from selma_plugins.prompts.grammar import Grammar
from selma_plugins.prompts.options import GrammarOptions
from selma_plugins.prompts.screen import Bounded
from selma_plugins.shapes.grammar import SKILLS, benchmark_prompts, held_out_texts, validation_prompts

from selma_core.protocols import PromptJob, PromptSource


def write(context: Any, **options: Any) -> Any:
    (batch,) = Grammar(GrammarOptions(**options)).prompts(PromptJob(context=context))
    return batch


@pytest.mark.parametrize("skill", SKILLS)
def test_n_distinct_prompts_none_held_out(context: Any, skill: str) -> None:
    prompts = write(context, skill=skill, n=200).accepted
    texts = {p.text for p in prompts}
    assert len(texts) == len(prompts) == 200
    assert {p.skill for p in prompts} == {skill}
    assert not texts & {p.text for p in benchmark_prompts()}
    assert not texts & {p.text for p in validation_prompts(500)}


def test_the_seed_decides_and_fewer_are_the_first(context: Any) -> None:
    first = write(context, n=20).accepted
    assert write(context, n=20).accepted == first
    assert write(context, n=5).accepted == first[:5]
    context.seed = 1
    assert write(context, n=20).accepted != first


def test_a_stored_batch_is_all_there_is(context: Any) -> None:
    source = Grammar(GrammarOptions(n=3))
    assert isinstance(source, PromptSource)
    batch = write(context, n=3)
    assert list(source.prompts(PromptJob(context=context, done=(batch,)))) == []


def test_defect_14_an_unknown_skill_names_the_nearest_and_all() -> None:
    with pytest.raises(ValueError, match="unknown skill 'counts'; did you mean 'count'") as caught:
        GrammarOptions(skill="counts")
    assert all(skill in str(caught.value) for skill in SKILLS)


def test_refuses_what_it_could_not_write() -> None:
    source = Grammar(GrammarOptions())
    assert isinstance(source, Bounded)
    assert all(source.refuses(text) is None for text in sorted(held_out_texts())[:100])
    unknown = source.refuses("a red dog on a dog house")
    assert unknown is not None
    assert (unknown.reason, unknown.detail) == ("vocabulary", "dog house")
    long = source.refuses("a red circle and " * 20)
    assert long is not None
    assert long.reason == "too_long"

"""Narrative prompts: told twice, held out by scene and by sentence; a language model learns to read them."""

from __future__ import annotations

from pathlib import Path

import pytest
import selma_registry
import transformers
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.shapes.benchmark import files
from selma_plugins.shapes.narrative import FORMS, held_out, narratives
from selma_plugins.shapes.narrative_source import Narrative
from selma_plugins.shapes.options import NarrativeOptions
from selma_plugins.shapes.reading import read
from selma_plugins.shapes.words import MAX_WORDS, in_vocabulary

from selma_core.protocols import PromptJob, PromptSource
from tests.tiny_stage import TinyContext

REGISTRY = Path(next(iter(selma_registry.__path__)))


@given(seed=st.integers(0, 9999))
def test_the_plain_text_says_what_the_spec_does_in_words_that_the_models_know(seed: int) -> None:
    for told in narratives(5, seed):
        assert in_vocabulary(told.plain)
        assert not in_vocabulary(told.narrative)
        said = read(told.plain)
        assert set(said.groups) == set(told.spec.groups)
        assert len(said.relations) == len(told.spec.relations)


def test_no_training_prompt_tells_a_scene_or_has_a_sentence_of_the_benchmark() -> None:
    train, test = narratives(1500, 0), held_out()
    assert not {told.plain for told in train} & {told.plain for told in test}
    assert len({told.narrative for told in train}) == len(train)
    assert len({told.plain for told in test}) == len(test) == 120
    for forms in FORMS.values():
        assert not set(forms["train"]) & set(forms["held_out"])


def test_the_committed_files_are_those_of_the_generator() -> None:
    for name in ("shapes_narrative.csv", "shapes_narrative_plain.csv"):
        assert (REGISTRY / "benchmarks" / name).read_text() == files()[name]


def test_every_prompt_fits_the_model() -> None:
    tokenizer = transformers.CLIPTokenizer.from_pretrained(REGISTRY / "models/weights/shapes_base/tokenizer")
    longest = max(len(tokenizer(told.narrative)["input_ids"]) for told in (*held_out(), *narratives(500, 1)))
    assert longest <= MAX_WORDS + 2


@pytest.mark.parametrize("text", ["simple", "complex"])
def test_the_source_keeps_both_prompts_and_gives_one(tmp_path: Path, text: str) -> None:
    source = Narrative(NarrativeOptions(n=20, text=text, ordinary=0.25))  # type: ignore[arg-type]
    assert isinstance(source, PromptSource)
    (batch,) = source.prompts(PromptJob(context=TinyContext(tmp_path)))
    (again,) = source.prompts(PromptJob(context=TinyContext(tmp_path)))
    assert batch == again
    assert [one.text for one in batch.accepted] == [one.meta[text] for one in batch.accepted]
    same = [one.meta["simple"] == one.meta["complex"] for one in batch.accepted]
    assert same == [False] * 15 + [True] * 5
    assert list(source.prompts(PromptJob(context=TinyContext(tmp_path), done=(batch,)))) == []


def test_the_teacher_learns_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    import torch
    from selma_plugins.shapes.train.teacher import TeacherTraining, train

    small = {"texts": 40, "batch": 8, "width": 32, "depth": 1}
    train(TeacherTraining(work=tmp_path / "whole", out=tmp_path / "out", steps=4, **small))
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = tokenizer("someone left a sky ball", return_tensors="pt")["input_ids"]
    assert loaded(input_ids=ids).logits.isfinite().all()
    assert ids.shape[1] < 20
    resumed = train(TeacherTraining(work=tmp_path / "whole", out=tmp_path / "out", steps=4, **small))
    assert all(
        torch.allclose(a.float(), b, atol=1e-3) for a, b in zip(loaded.parameters(), resumed.parameters(), strict=True)
    )

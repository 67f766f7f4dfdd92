"""TIFA's released sample: 19 answers about 2 captions give the released numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from selma_plugins.tifa import embedding
from selma_plugins.tifa.scores import STDEV

from selma_core.artifacts.scores import ScoreTable
from selma_core.catalog import Catalog
from selma_core.data import Summary
from selma_core.rescoring import rescore, scoring_evaluator
from tests.tifa.kit import PROMPTS, RELEASED, Always, Released, context_of, evaluate, images, tifa

OUTSIDE = [("drawbench_52", "0")]


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Always:
    """The released encoder takes the one answer outside its choices, `0`, for `1`."""
    found = Always("1")
    monkeypatch.setattr(embedding, "SentenceEncoder", lambda name, context: found)
    return found


@pytest.fixture
def summary(encoder: Always, tmp_path: Path) -> Summary:
    evaluator = tifa(embedder="mpnet")
    specs, rows = evaluate(evaluator, images(PROMPTS), context_of(tmp_path, judge=Released()))
    return evaluator.aggregate(rows, specs, "official")


def test_the_headline_is_the_mean_over_captions(summary: Summary) -> None:
    assert summary.mean == pytest.approx(100 * RELEASED["tifa_average"], abs=1e-9) == 81.25
    assert {prompt.prompt_id: prompt.value for prompt in summary.prompts} == {
        "coco_301091": 1.0,
        "drawbench_52": 0.625,
    }
    assert (summary.n_prompts, summary.n_images, summary.n_atoms, summary.coverage) == (2, 2, 19, 1.0)
    assert summary.groups == {"coco": 100.0, "drawbench": 62.5}


def test_the_mean_over_questions_is_another_number(summary: Summary) -> None:
    details = [one for caption in RELEASED["question_details"].values() for one in caption.values()]
    assert (sum(one["scores"] for one in details), len(details)) == (16, 19)
    assert summary.mean != pytest.approx(100 * 16 / 19, abs=1)


def test_the_deviation_is_that_of_the_sample_over_captions(summary: Summary) -> None:
    assert summary.categories[STDEV] == pytest.approx(26.51650429449553, abs=1e-9)
    assert summary.categories[STDEV] == pytest.approx(100 * RELEASED["tifa_stdev"], abs=1e-9)


def test_accuracy_by_element_type_is_over_questions(summary: Summary) -> None:
    found = {name: value / 100 for name, value in summary.categories.items() if name != STDEV}
    assert found == pytest.approx(RELEASED["accuracy_by_type"])
    assert found["counting"] == pytest.approx(1 / 3)


def test_every_answer_counts_as_the_released_choice(encoder: Always, tmp_path: Path) -> None:
    evaluator = tifa(embedder="mpnet")
    _, rows = evaluate(evaluator, images(PROMPTS), context_of(tmp_path, judge=Released()))
    for row in rows:
        for atom in row.atoms:
            released = RELEASED["question_details"][row.prompt_id][atom.data["question"]]
            assert (atom.raw, atom.data["choice"]) == (released["free_form_vqa"], released["multiple_choice_vqa"])
            assert atom.value == released["scores"]
    assert encoder.asked == ["0"]  # the other 18 answers are choices: no encoder is needed for them
    assert [(r.prompt_id, a.raw) for r in rows for a in r.atoms if not a.data["literal"]] == OUTSIDE


def test_without_an_encoder_the_rule_has_another_name(tmp_path: Path) -> None:
    context = context_of(tmp_path, judge=Released())
    evaluator = tifa()
    specs, rows = evaluate(evaluator, images(PROMPTS), context)
    assert evaluator.info.rules == ("literal",)
    # the gold answer is 2, so the one answer outside its choices is wrong either way
    assert evaluator.aggregate(rows, specs, "literal").mean == 81.25
    assert context.warnings == ["1 of 19 answers are none of the choices; they count as wrong"]


def test_stored_answers_keep_their_headline(summary: Summary, encoder: Always, tmp_path: Path) -> None:
    """A manifest keeps the pins of question file and encoder, not their names: `selma score` builds it without them."""
    catalog = Catalog.discover(select="selma", strict=False)
    pin = {"section": "models", "pin": "0"}
    stored = {"benchmark": pin, "embedder": pin, "writer": None, "outside": "nearest", "protocol": "upstream"}
    evaluator = tifa(embedder="mpnet")
    specs, rows = evaluate(evaluator, images(PROMPTS), context_of(tmp_path, judge=Released()))
    again = scoring_evaluator(catalog.find("evaluator", "tifa"), stored, catalog)
    assert again.info.rules == ("official", "literal")
    found = rescore(again, ScoreTable(info=evaluator.info, specs=specs, rows=tuple(rows)), None)
    assert (found.mean, found.rule, found.categories) == (81.25, "official", summary.categories)

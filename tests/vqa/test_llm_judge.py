"""Pairwise judging in both orders: wins, ties, biased judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from selma_plugins.vqa.llm_judge import LlmJudge, place_of, preference
from selma_plugins.vqa.options import LlmJudgeOptions

from selma_core.data import Prompt, TextPart
from selma_core.errors import UnknownNameError, UserError
from selma_core.testing import check_evaluator
from tests.vqa.kit import JUDGE, Words, context_of, evaluate, images, lost

PROMPTS = [Prompt(id=f"p{i}", text=f"{i} cats") for i in range(12)]
MINE, BASE = images(PROMPTS), images(PROMPTS, kind="-base")


def options(**values: Any) -> LlmJudgeOptions:
    return LlmJudgeOptions(judge=JUDGE, **values)


def best(good: str) -> Words:
    """A fair judge for whom the images whose name contains `good` are better."""
    return Words(lambda names, q: "first" if good in names[0] and good not in names[1] else "second")


def summary_of(judge: Words, rule: str = "swapped", **values: Any) -> Any:
    evaluator = LlmJudge(options(**values))
    specs, rows = evaluate(evaluator, MINE, context_of(judge), BASE)
    return evaluator.aggregate(rows, specs, rule)


def test_both_orders_are_asked() -> None:
    judge = best("base")
    evaluate(LlmJudge(options()), MINE[:1], context_of(judge), BASE)
    shown = [[part.path.stem for part in request.messages[-1].parts[:2]] for request in judge.asked]  # type: ignore[union-attr]
    assert shown == [["p0-0", "p0-0-base"], ["p0-0-base", "p0-0"]]
    text = judge.asked[0].messages[-1].parts[2]
    assert isinstance(text, TextPart)
    assert "Description: 0 cats\n" in text.text


def test_a_fair_judge_decides() -> None:
    won = summary_of(Words(lambda names, q: "second" if "base" in names[0] else "first"))
    lost_all = summary_of(best("base"))
    assert (won.mean, lost_all.mean) == (100, 0)
    assert won.categories == {"wins": 100, "ties": 0, "losses": 0, "position first": 50, "orders disagree": 0}


@pytest.mark.parametrize(("word", "share"), [("first", 100), ("second", 0)])
def test_a_judge_that_looks_at_the_place_only_gives_ties(word: str, share: float) -> None:
    found = summary_of(Words(lambda names, q: f"The {word} image."))
    assert found.mean == 50
    assert found.categories == {"wins": 0, "ties": 100, "losses": 0, "position first": share, "orders disagree": 100}


def test_ties_count_half_and_rules_differ() -> None:
    """The judge sees a tie when the image is shown second, else a win."""
    judge = Words(lambda names, q: "tie" if "base" in names[0] else "first")
    assert summary_of(judge).mean == 50
    assert summary_of(judge, "average").mean == 75
    assert summary_of(judge, "average").categories["wins"] == 100
    assert [preference({"mine_first": a, "mine_second": b}, "swapped") for a, b in ((1, 1), (1, 0), (0, 0))] == [
        1,
        0.5,
        0,
    ]


def test_one_order_alone_says_nothing() -> None:
    assert preference({"mine_first": 1.0}, "swapped") is None
    with pytest.raises(UnknownNameError, match="did you mean 'swapped'"):
        preference({}, "swaped")


def test_timeouts_lower_coverage_not_the_mean() -> None:
    judge = Words(lambda names, q: None if lost(names[0], q) else "second" if "base" in names[0] else "first")
    found = summary_of(judge)
    assert found.mean == 100
    assert 0.3 < found.coverage < 0.9


def test_unclear_answers_are_missing_and_counted() -> None:
    context = context_of(Words(lambda names, q: "I like both" if "base" in names[0] else "first"))
    evaluator = LlmJudge(options())
    specs, rows = evaluate(evaluator, MINE, context, BASE)
    found = evaluator.aggregate(rows, specs, "swapped")
    assert (found.mean, found.coverage) == (None, 0.5)
    assert context.warnings == ["12 answers were neither first, second nor tie; they are missing data"]


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        ("First.", "first"),
        ("the SECOND image", "second"),
        ("**tie**", "tie"),
        ("2", "second"),
        ("first or second", None),
        ("not the first", None),
        ("", None),
    ],
)
def test_only_the_three_words_are_answers(answer: str, place: str | None) -> None:
    assert place_of(answer) == place


def test_the_baseline_itself_ties_without_a_question() -> None:
    judge = best("base")
    evaluator = LlmJudge(options())
    specs, rows = evaluate(evaluator, MINE, context_of(judge), MINE)
    found = evaluator.aggregate(rows, specs, "swapped")
    assert (found.mean, found.coverage, judge.asked) == (50, 1.0, [])
    assert found.categories == {"wins": 0, "ties": 100, "losses": 0}


def test_images_without_a_counterpart_lower_the_coverage() -> None:
    context = context_of(best("base"))
    evaluator = LlmJudge(options())
    specs, rows = evaluate(evaluator, MINE, context, BASE[:9])
    found = evaluator.aggregate(rows, specs, "swapped")
    assert (found.mean, found.coverage) == (0, 0.75)
    assert {atom.status for row in rows[9:] for atom in row.atoms} == {"skipped"}
    assert context.warnings == ["3 of 12 images have no counterpart in the baseline; they lower the coverage"]


def test_without_a_baseline_it_says_what_to_write() -> None:
    with pytest.raises(UserError, match=r"like \{images: sample, baseline: 'sample\[base\]'\}"):
        LlmJudge(options()).against([])


def test_conformance(tmp_path: Path) -> None:
    judge = Words(lambda names, q: None if lost(names[0], q) else "second" if "base" in names[0] else "first")

    def build(chosen: LlmJudgeOptions) -> LlmJudge:
        evaluator = LlmJudge(chosen)
        evaluator.against(BASE)
        return evaluator

    check_evaluator(build, options(), items=MINE, workdir=tmp_path, context=context_of(judge))

"""Soft-TIFA by hand; the benchmark here is made up in GenEval 2's format, whose own file may not be copied."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.chat.choices import from_top_tokens
from selma_plugins.vqa.geneval2 import GenEval2, choices_of, soft_tifa
from selma_plugins.vqa.options import GenEval2Options

from selma_core.data import Entry, ImageItem, Prompt
from selma_core.errors import ArtifactError, StageError, UnknownNameError, UserError
from selma_core.testing import check_evaluator
from tests.vqa.kit import JUDGE, Judge, Words, context_of, evaluate, images, lost

ROWS: list[dict[str, Any]] = [
    {
        "prompt": "a purple teapot and a fox",
        "atom_count": 3,
        "vqa_list": [
            ["How many teapots are in the image?", "one"],
            ["Is the teapot purple?", "Yes"],
            ["Are there any teapots in the image?", "Yes"],
            ["How many foxes are in the image?", "one"],
            ["Are there any foxes in the image?", "Yes"],
        ],
        "skills": ["count", "attribute", "object", "count", "object"],
    },
    {
        "prompt": "three foxes",
        "atom_count": 2,
        "vqa_list": [["How many foxes are in the image?", "three"], ["Are there any foxes in the image?", "Yes"]],
        "skills": ["count", "object"],
    },
]
# The probabilities of the right answers, question by question.
BY_HAND = {"00000": [0.5, 0.8, 1.0, 0.4, 0.9], "00001": [0.0, 0.6]}


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return Entry(section="benchmarks", name="mine", provider="path", data={}, pin="0", path=path)


def options(**values: Any) -> GenEval2Options:
    return GenEval2Options(benchmark="mine", judge=JUDGE, **values)


def items(k: int = 1) -> list[ImageItem]:
    return images([Prompt(id=f"{i:05d}", text=row["prompt"]) for i, row in enumerate(ROWS)], k)


def by_hand(image: str, question: str, choices: tuple[str, ...]) -> dict[str, float]:
    key = image.rpartition("-")[0]
    asked = [q for q, _ in ROWS[int(key)]["vqa_list"]]
    p = BY_HAND[key][asked.index(question.removesuffix(" Answer in one word."))]
    # A number's probability is shared by its two spellings.
    return {"Yes": p, "No": 1 - p} if choices == ("Yes", "No") else dict.fromkeys(choices, p / 2)


def test_arithmetic_and_geometric_mean_by_hand(entry: Entry) -> None:
    evaluator = GenEval2(options())
    specs, rows = evaluate(evaluator, items(), context_of(Judge(by_hand), entry))
    am = evaluator.aggregate(rows, specs, "am")
    gm = evaluator.aggregate(rows, specs, "gm")
    # All five questions of the first prompt count, although it has three atoms.
    assert [p.value for p in am.prompts] == pytest.approx([3.6 / 5, 0.3])
    assert [p.value for p in gm.prompts] == pytest.approx([(0.5 * 0.8 * 1.0 * 0.4 * 0.9) ** (1 / 5), 0.0])
    assert am.mean == pytest.approx(51.0)
    assert gm.mean == pytest.approx(100 * 0.144 ** (1 / 5) / 2)
    assert gm.groups == pytest.approx({"3 atoms": 100 * 0.144 ** (1 / 5), "2 atoms": 0.0})
    # Per skill over questions, arithmetic under either rule.
    expected = {"attribute": 80.0, "count": 100 * 0.9 / 3, "object": 100 * 2.5 / 3}
    assert am.categories == pytest.approx(expected)
    assert gm.categories == pytest.approx(expected)
    assert (am.n_atoms, am.coverage) == (7, 1.0)


def test_questions_and_choices_are_the_released_ones(entry: Entry) -> None:
    judge = Judge(by_hand)
    evaluate(GenEval2(options()), items(), context_of(judge, entry))
    assert judge.questions[0] == "How many teapots are in the image? Answer in one word."
    assert [request.choices for call in judge.calls for request in call[:2]] == [("one", "1"), ("Yes", "No")]
    assert all(request.max_tokens == 1 and request.temperature == 0 for call in judge.calls for request in call)


def test_a_count_is_the_word_and_its_digits() -> None:
    assert choices_of("How many foxes are in the image?", "three") == ("three", "3")
    assert choices_of("How many foxes are in the image?", "ten") == ("ten", "10")
    assert choices_of("How many foxes are in the image?", "twelve") == ("twelve",)
    assert choices_of("Is the fox behind the teapot?", "Yes") == ("Yes", "No")


def test_traps_of_the_first_token() -> None:
    tokens = [("1", math.log(0.3)), (" ", math.log(0.2)), ("Ten", math.log(0.1)), ("3", math.log(0.05))]
    ten = from_top_tokens(tokens, ("ten", "10"))
    three = from_top_tokens(tokens, ("three", "3"))
    assert ten is not None
    assert three is not None
    assert math.exp(ten["10"]) == pytest.approx(0.3)  # `10` split into `1`, `0` counts as `1`, as released
    assert math.exp(three["3"]) == pytest.approx(0.05)  # a lone blank counts for nothing


def test_timeouts_lower_coverage_not_the_mean(entry: Entry) -> None:
    judge = Judge(lambda i, q, c: None if lost(i, q) else dict.fromkeys(c, 0.6 / (len(c) if "How" in q else 1)))
    evaluator = GenEval2(options())
    specs, rows = evaluate(evaluator, items(k=6), context_of(judge, entry))
    for rule in ("am", "gm"):
        summary = evaluator.aggregate(rows, specs, rule)
        assert summary.mean == pytest.approx(60)
        assert 0.4 < summary.coverage < 0.9


def test_a_judge_without_probabilities_is_an_error(entry: Entry) -> None:
    with pytest.raises(StageError, match="geneval2 is made of probabilities"):
        evaluate(GenEval2(options()), items(), context_of(Words(lambda i, q: "Yes"), entry))


def test_foreign_prompts_are_named(entry: Entry) -> None:
    evaluator, context = GenEval2(options()), context_of(None, entry)
    with pytest.raises(UnknownNameError, match=r"'mine' \(2 prompts\) has no prompt 'x'; draw the images from"):
        evaluator.prepare([Prompt(id="x", text="a fox")], context)
    with pytest.raises(UserError, match="'four foxes' but in benchmark 'mine' 'three foxes'"):
        evaluator.prepare([Prompt(id="00001", text="four foxes")], context)


def test_skills_that_do_not_fit_are_refused(entry: Entry) -> None:
    assert entry.path is not None
    entry.path.write_text(json.dumps(ROWS[1] | {"skills": ["count"]}))
    with pytest.raises(ArtifactError, match="'00000' has 2 questions but 1 skills"):
        GenEval2(options()).prepare([Prompt(id="00000", text="three foxes")], context_of(None, entry))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_geometric_is_never_above_arithmetic(values: list[float]) -> None:
    am, gm = soft_tifa(values, "am"), soft_tifa(values, "gm")
    assert am is not None
    assert gm is not None
    assert 0 <= gm <= am + 1e-12 <= 1 + 1e-9
    assert (gm == 0) == (0 in values) or min(values) < 1e-300


def test_nothing_observed_is_no_number_and_rules_are_known() -> None:
    assert soft_tifa([], "gm") is None
    with pytest.raises(UnknownNameError, match="did you mean 'gm'"):
        soft_tifa([0.5], "gmm")
    assert GenEval2(options(rule="am")).info.rules == ("am", "gm")


def test_conformance(entry: Entry, tmp_path: Path) -> None:
    judge = Judge(lambda i, q, c: None if lost(i, q) else by_hand(i, q, c))
    check_evaluator(GenEval2, options(), items=items(k=2), workdir=tmp_path, context=context_of(judge, entry))

"""VQAScore: wording, formulas, and judges that have no probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.chat.choices import from_top_tokens
from selma_plugins.vqa.options import VqaScoreOptions
from selma_plugins.vqa.vqascore import VqaScore, normalised

from selma_core.data import Atom, ChatReply, Prompt
from selma_core.errors import StageError, UnknownNameError
from selma_core.testing import check_evaluator
from tests.vqa.kit import JUDGE, Judge, Words, context_of, evaluate, images, lost

PROMPTS = [Prompt(id=f"p{i}", text=f"{i} cats", meta={"group": "even" if i % 2 == 0 else "odd"}) for i in range(12)]


def options(**values: Any) -> VqaScoreOptions:
    return VqaScoreOptions(judge=JUDGE, **values)


@pytest.mark.parametrize(
    ("template", "question", "choices"),
    [
        ("clip_flant5", 'Does this figure show "0 cats"? Please answer yes or no.', ("yes", "no")),
        ("qwen", 'Does this figure show "0 cats"? Please answer Yes or No.', ("Yes", "No")),
        ("geneval2", 'Does this image show "0 cats"? Answer the question with Yes or No.', ("Yes", "No")),
    ],
)
def test_templates_are_those_of_the_back_ends(template: Any, question: str, choices: tuple[str, str]) -> None:
    judge = Judge(lambda i, q, c: {c[0]: 0.3, c[1]: 0.1})
    evaluator = VqaScore(options(template=template))
    specs, rows = evaluate(evaluator, images(PROMPTS[:1]), context_of(judge))
    assert judge.questions == [question]
    assert judge.calls[0][0].choices == choices
    assert evaluator.info.rules == (f"{template}.p_yes", f"{template}.normalised")
    assert evaluator.info.judge == "fake:judge"
    assert evaluator.score(rows[0].atoms, specs["p0"], f"{template}.p_yes") == pytest.approx(0.3)
    assert evaluator.score(rows[0].atoms, specs["p0"], f"{template}.normalised") == pytest.approx(0.75)


def test_braces_in_a_prompt_stay() -> None:
    judge = Judge(lambda i, q, c: {c[0]: 1.0, c[1]: 0.0})
    evaluate(VqaScore(options()), images([Prompt(id="p", text="a {text} {0}")]), context_of(judge))
    assert judge.questions == ['Does this figure show "a {text} {0}"? Please answer Yes or No.']


def test_another_templates_rule_is_refused() -> None:
    evaluator = VqaScore(options(template="qwen"))
    specs, rows = evaluate(evaluator, images(PROMPTS[:1]), context_of(Judge(lambda i, q, c: dict.fromkeys(c, 0.5))))
    with pytest.raises(UnknownNameError, match=r"no rule 'clip_flant5\.p_yes' here"):
        evaluator.score(rows[0].atoms, specs["p0"], "clip_flant5.p_yes")


def test_mean_and_groups_by_hand() -> None:
    def answer(image: str, question: str, choices: tuple[str, ...]) -> dict[str, float]:
        return {"Yes": 0.5 if image.endswith("-0") else 0.25, "No": 0.25}

    evaluator = VqaScore(options(formula="normalised"))
    specs, rows = evaluate(evaluator, images(PROMPTS[:2], k=2), context_of(Judge(answer)))
    summary = evaluator.aggregate(rows, specs, evaluator.info.rules[0])
    assert summary.rule == "qwen.normalised"
    assert summary.mean == pytest.approx(100 * (2 / 3 + 1 / 2) / 2)
    assert summary.groups == pytest.approx({"even": summary.mean, "odd": summary.mean})
    assert evaluator.aggregate(rows, specs, "qwen.p_yes").mean == pytest.approx(37.5)


def test_timeouts_lower_coverage_not_the_mean() -> None:
    judge = Judge(lambda i, q, c: None if lost(i, q) else {"Yes": 0.4, "No": 0.2})
    evaluator = VqaScore(options(batch=5))
    specs, rows = evaluate(evaluator, images(PROMPTS, k=2), context_of(judge))
    summary = evaluator.aggregate(rows, specs, "qwen.p_yes")
    assert summary.mean == pytest.approx(40)
    assert 0.4 < summary.coverage < 0.9


@pytest.mark.parametrize("word", ["Yes", "no", "no idea"])
def test_a_judge_without_probabilities_is_one_clear_error(word: str) -> None:
    with pytest.raises(StageError, match="'fake:words' gives none; take one that does"):
        evaluate(VqaScore(options()), images(PROMPTS), context_of(Words(lambda i, q: word)))


def test_an_answer_beside_the_point_is_missing_data() -> None:
    """The judge has probabilities, but once neither choice is among the likeliest tokens."""

    class Mostly(Judge):
        def _one(self, request: Any) -> ChatReply:
            reply = super()._one(request)
            return ChatReply(text="Sorry") if "3 cats" in request.messages[-1].text else reply

    evaluator = VqaScore(options())
    specs, rows = evaluate(evaluator, images(PROMPTS), context_of(Mostly(lambda i, q, c: {"Yes": 0.4, "No": 0.2})))
    (atom,) = rows[3].atoms
    assert (atom.value, atom.status) == (None, "error")
    assert atom.raw == "'Yes' or 'No' is not among the likeliest first tokens; the answer was 'Sorry'"
    summary = evaluator.aggregate(rows, specs, "qwen.p_yes")
    assert (summary.mean, summary.coverage) == (pytest.approx(40), pytest.approx(11 / 12))


def test_spellings_of_yes_are_added_by_the_judge() -> None:
    """GenEval 2's script adds `Yes`, `yes`, ` Yes`, ` yes`; so does what every bundled judge reads its tokens with."""
    tokens = [("Yes", -1.0), ("yes", -2.0), (" Yes", -3.0), (" yes", -4.0), ("No", -5.0)]
    logs = from_top_tokens(tokens, ("Yes", "No"))
    assert logs is not None
    assert logs["Yes"] == pytest.approx(-0.5598, abs=1e-4)  # ln(e^-1 + e^-2 + e^-3 + e^-4)


@given(st.floats(0, 1), st.floats(0, 1))
def test_normalised_is_a_probability(yes: float, no: float) -> None:
    value = normalised(yes, no)
    assert (value is None) == (yes + no == 0)
    assert value is None or 0 <= value <= 1


def test_conformance(tmp_path: Path) -> None:
    judge = Judge(lambda i, q, c: None if lost(i, q) else {"Yes": 0.4, "No": 0.2})
    check_evaluator(VqaScore, options(), items=images(PROMPTS, k=2), workdir=tmp_path, context=context_of(judge))


def test_both_formulas_come_from_one_stored_answer() -> None:
    spec = {"text": "t", "question": "q", "template": "qwen", "groups": []}
    atoms = [Atom(key="score", value=0.2, data={"p": {"Yes": 0.2, "No": 0.6}})]
    plain, other = VqaScore(options()), VqaScore(options(formula="normalised"))
    assert plain.info.rules == other.info.rules[::-1]
    assert [plain.score(atoms, spec, rule) for rule in plain.info.rules] == pytest.approx([0.2, 0.25])

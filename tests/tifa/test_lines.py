"""Reply lines of a chat model that writes questions with choices, and the words of numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.evaluation.answers import normalise
from selma_plugins.tifa.cases import CASES, TYPES
from selma_plugins.tifa.filtering import token_f1
from selma_plugins.tifa.lines import read_questions
from selma_plugins.tifa.numbers import SMALL, TENS, words_to_digits

PIECES = ["object", "|", "\n", ";", ",", " ", "yes", "no", "a", "?", "output:", "input:", "- ", "1. ", "```", "\r"]
replies = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=80).map("".join))
GOOD = "\n".join(f"object | thing{i} | is there a thing{i}? | yes; no | yes" for i in range(8))


@pytest.mark.parametrize(
    "lead", ["", "output:\n", "Here are the questions:\n", "Caption: a cat\nEntities: cat\n\n", "\n\n"]
)
def test_the_first_question_is_not_lost(lead: str) -> None:
    """The parser released with the open question generator starts at the seventh line of a reply."""
    found = read_questions(lead + GOOD)
    assert [one.element for one in found.questions] == [f"thing{i}" for i in range(8)]


def test_fields_of_a_line() -> None:
    (one,) = read_questions(
        "1. Color | horses | what color are they? | brown; dark gray;  white | Dark gray."
    ).questions
    assert (one.element_type, one.element, one.question) == ("color", "horses", "what color are they?")
    assert (one.choices, one.answer) == (("brown", "dark gray", "white"), "dark gray")


def test_commas_part_choices_where_there_is_no_semicolon() -> None:
    (one,) = read_questions("object | a | is there a? | yes, no | no").questions
    assert (one.choices, one.answer) == (("yes", "no"), "no")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("object | cat | is there a cat? | yes; no", "has 4 fields instead of 5, skipped"),
        ("object | cat |  | yes; no | yes", "asks nothing, skipped"),
        ("object | cat | is there a cat? | yes; yes | yes", "needs two choices at least, skipped"),
        ("object | cat | is there a cat? | yes; no | maybe", "the answer 'maybe' is none of the choices, skipped"),
        ("I hope this helps!", "has 1 fields instead of 5, skipped"),
    ],
)
def test_a_bad_line_costs_only_itself(line: str, problem: str) -> None:
    found = read_questions(f"{GOOD}\n{line}")
    assert len(found.questions) == 8
    assert found.complaints == (f"line {line[:60]!r}: {problem}",)


def test_an_unknown_type_is_other() -> None:
    found = read_questions("colour | cat | what colour? | red; blue | red")
    assert found.questions[0].element_type == "other"
    assert found.complaints == (
        "line 'colour | cat | what colour? | red; blue | red': there is no type 'colour', taken as 'other'",
    )


@given(replies)
def test_no_reply_makes_the_parser_raise(reply: str) -> None:
    for one in read_questions(reply).questions:
        assert one.element_type in TYPES
        assert one.answer in one.choices
        assert len(set(one.choices)) == len(one.choices) >= 2
        assert one.question


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.input[:20])
def test_the_solved_cases_are_right_by_their_own_rules(case: object) -> None:
    found = read_questions(case.output)  # type: ignore[attr-defined]
    assert found.complaints == ()
    assert len(found.questions) == len(case.output.splitlines())  # type: ignore[attr-defined]
    assert len({one.question for one in found.questions}) == len(found.questions)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("two dogs", "2 dogs"),
        ("twenty three", "23"),
        ("twenty", "20"),
        ("thirty zero", "30 0"),
        ("ninety nineteen", "90 19"),
        ("eleven of twelve", "11 of 12"),
        ("one hundred", "1 hundred"),
        ("", ""),
    ],
)
def test_number_words_become_digits(text: str, wanted: str) -> None:
    assert " ".join(words_to_digits(text.split())) == wanted


@given(st.lists(st.sampled_from([*SMALL, *TENS, "dog", "7"]), max_size=8))
def test_no_number_word_is_left(words: list[str]) -> None:
    assert not set(words_to_digits(words)) & (SMALL.keys() | TENS.keys())


@pytest.mark.parametrize(
    ("right", "said", "wanted"),
    [
        ("surfer", "surfer", 1.0),
        ("surfer", "a surfer", 2 / 3),
        ("surfer", "a young surfer", 0.5),
        ("2", "two", 1.0),
        ("two dogs", "2 dogs", 1.0),
        ("in a train", "a train", 0.8),
        ("in a train", "on the bus", 0.0),
        ("Surfer", "surfer!", 1.0),
        ("surfer", "", 0.0),
    ],
)
def test_token_f1_by_hand(right: str, said: str, wanted: float) -> None:
    assert token_f1(right, said) == pytest.approx(wanted)


@given(st.text(), st.text())
def test_token_f1_is_a_share(right: str, said: str) -> None:
    assert 0.0 <= token_f1(right, said) <= 1.0
    assert token_f1(right, right) == 1.0
    assert token_f1(right, said) == pytest.approx(token_f1(said, right))
    assert token_f1(normalise(right), said) == token_f1(right, said)

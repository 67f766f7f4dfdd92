"""Log-probabilities of answers."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.chat.choices import from_openai, from_top_tokens


def test_pieces_of_a_choice_count_when_no_other_choice_begins_so() -> None:
    found = from_top_tokens([("le", math.log(0.5)), ("left", math.log(0.2)), ("r", math.log(0.1))], ("left", "right"))
    assert found is not None
    assert math.isclose(math.exp(found["left"]), 0.7)
    assert math.isclose(math.exp(found["right"]), 0.1)


def test_a_shared_beginning_counts_for_none() -> None:
    assert from_top_tokens([("t", -0.1)], ("two", "three")) is None


def test_an_unseen_choice_gets_the_lowest_of_the_list() -> None:
    assert from_top_tokens([("yes", -0.1), ("maybe", -4.0)], ("yes", "no")) == {
        "yes": math.log(math.exp(-0.1)),
        "no": -4,
    }


def test_plain_completions_have_their_own_form() -> None:
    logprobs = {"top_logprobs": [{" yes": -0.25, "no": -3.0}]}
    assert from_openai({"logprobs": logprobs}, ("yes", "no")) == {"yes": -0.25, "no": -3.0}


def test_none_without_choices_or_logprobs() -> None:
    assert from_openai({"logprobs": {"top_logprobs": [{"yes": -1.0}]}}, ()) is None
    assert from_openai({"logprobs": None}, ("yes",)) is None
    assert from_openai({}, ("yes",)) is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["Yes", " yes", "YES", "no", "No ", "x", ""]), st.floats(-20, -0.01)), min_size=1
    )
)
def test_mass_is_the_sum_over_spellings(top: list[tuple[str, float]]) -> None:
    found = from_top_tokens(top, ("yes", "no"))
    mass = sum(math.exp(v) for t, v in top if t.strip().lower() == "yes")
    if mass and found:
        assert math.isclose(math.exp(found["yes"]), mass, rel_tol=1e-9)

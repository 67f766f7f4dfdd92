"""Reply lines of a chat model, as they come: nothing makes the parsers raise, and what they give is a graph."""

from __future__ import annotations

from graphlib import TopologicalSorter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.evaluation.dependencies import complaints, tolerant_parents
from selma_plugins.evaluation.writing.dsg_cases import CASES, DEPENDENCIES, QUESTIONS, TUPLES
from selma_plugins.evaluation.writing.lines import category_of, read_lines, read_parents

# What replies are made of, so that random ones come near to the form.
PIECES = ["1", "2", "03", "0", "|", "\n", ",", " ", "right", "output:", "input:", "```", "٣", "1.", "- ", "(", "\r"]
replies = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=60).map("".join))


def test_text_before_output_is_not_read() -> None:
    reply = "Sure! 9 | nonsense\noutput:\n1 | a\n2 | b\n\ninput: another\noutput:\n3 | c"
    assert dict(read_lines(reply).fields) == {"1": "a", "2": "b"}
    assert dict(read_lines("1 | a").fields) == {"1": "a"}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("two | b", "line 'two | b': has no id, skipped"),
        ("| b", "line '| b': has no id, skipped"),
        ("2 | b | c", "line '2 | b | c': must have exactly one |, skipped"),
        ("Here you go:", "line 'Here you go:': must have exactly one |, skipped"),
        ("1 | again", "line '1 | again': the id 1 is taken, skipped"),
        ("2 |  ", "line '2 |': says nothing, skipped"),
        ("0 | b", "line '0 | b': has the id 0, which stands for no parent, skipped"),
    ],
)
def test_a_bad_line_costs_only_itself(line: str, problem: str) -> None:
    """The released parser raises at a line without an id."""
    found = read_lines(f"1 | a\n{line}\n7 | z")
    assert dict(found.fields) == {"1": "a", "7": "z"}
    assert found.complaints == (problem,)


@pytest.mark.parametrize("head", ["2", "02", " 2 ", "2.", "(2)", "- 2", "#2"])
def test_spellings_of_an_id(head: str) -> None:
    assert dict(read_lines(f"{head} | b").fields) == {"2": "b"}


def test_code_fences_are_no_lines() -> None:
    found = read_lines("```\n1 | a\n```")
    assert (dict(found.fields), found.complaints) == ({"1": "a"}, ())


@pytest.mark.parametrize(
    ("field", "wanted", "problem"),
    [
        ("1, 2", "1,2", None),
        ("01", "1", None),
        ("0", "0", None),
        ("0, 1", "1", None),  # 0 beside other parents
        ("1, right", "1", "question 3 depends on 'right': not a number, dropped"),
        ("right", "0", "question 3 depends on 'right': not a number, dropped"),
        ("", "0", "question 3 depends on '': not a number, dropped"),
        ("3", "0", "question 3 depends on '3': itself, dropped"),
        ("9", "0", "question 3 depends on '9': no such question, dropped"),
        ("1,1", "1", None),
        ("-1", "0", "question 3 depends on '-1': not a number, dropped"),
    ],
)
def test_dependencies_are_cleaned(field: str, wanted: str, problem: str | None) -> None:
    found, dropped = read_parents({"1": "0", "2": "1", "3": field}, dict.fromkeys("123"))
    assert found == {"1": "0", "2": "1", "3": wanted}
    assert dropped == ([problem] if problem else [])


def test_a_cycle_loses_the_edge_that_closes_it() -> None:
    found, dropped = read_parents({"1": "3", "2": "1", "3": "2"}, dict.fromkeys("123"))
    assert found == {"1": "3", "2": "1", "3": "0"}
    assert dropped == ["question 3 depends on '2': it depends on this one already, dropped"]


@given(replies)
def test_no_reply_makes_the_lines_raise(reply: str) -> None:
    found = read_lines(reply)
    for key, text in found.fields.items():
        assert key.isascii()
        assert key.isdigit()
        assert not key.startswith("0")
        assert text == text.strip() != ""
        assert "|" not in text


@given(
    st.lists(st.integers(1, 9).map(str), unique=True, max_size=9),
    st.dictionaries(st.text("0123456789", min_size=1), replies),
)
def test_cleaned_dependencies_are_a_graph_without_cycles(ids: list[str], fields: dict[str, str]) -> None:
    found, _ = read_parents(fields, dict.fromkeys(ids))
    assert list(found) == ids
    assert complaints(found) == []  # nothing is left for the scoring rules to trip over
    parents = tolerant_parents(found)
    assert {key: ",".join(p) or "0" for key, p in parents.items()} == found
    tuple(TopologicalSorter(parents).static_order())  # raises CycleError


dense = st.lists(st.lists(st.integers(0, 7).map(str), max_size=6).map(",".join), min_size=7, max_size=7)


@given(dense)
def test_dense_graphs_are_made_acyclic(fields: list[str]) -> None:
    ids = [str(i) for i in range(1, 8)]
    found, _ = read_parents(dict(zip(ids, fields, strict=True)), dict.fromkeys(ids))
    tuple(TopologicalSorter(tolerant_parents(found)).static_order())


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("entity - whole (cat)", ("entity", "whole")),
        ("attribute - color (cat, orange)", ("attribute", "color")),
        ('other - text rendering (sign, "FRESH (now)")', ("other", "text rendering")),
        ("global - (night)", ("global", "-")),
        ("Global - - (night)", ("global", "-")),
        ("cat", ("other", "-")),
        ("feeling - joy (cat)", ("other", "-")),
    ],
)
def test_categories_of_tuples(text: str, wanted: tuple[str, str]) -> None:
    assert category_of(text) == wanted


@given(st.text())
def test_no_tuple_makes_the_category_raise(text: str) -> None:
    assert category_of(text)[0] in {"entity", "attribute", "relation", "global", "other"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.text[:20])
def test_the_solved_cases_are_right_by_their_own_rules(case: object) -> None:
    found = {step.name: read_lines(step.case(case).output) for step in (TUPLES, QUESTIONS, DEPENDENCIES)}  # type: ignore[arg-type]
    assert all(not lines.complaints for lines in found.values())
    ids = found["tuples"].fields
    assert list(ids) == list(found["questions"].fields) == list(found["dependencies"].fields)
    assert read_parents(found["dependencies"].fields, ids) == (dict(found["dependencies"].fields), [])
    assert all(text.endswith("?") for text in found["questions"].fields.values())
    assert all(category_of(text) != ("other", "-") for text in ids.values())

"""What each rule does to answers, on graphs small enough to work out by hand and on random ones."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.evaluation.answers import verdict
from selma_plugins.evaluation.dependencies import complaints, official_parents, raw_parents, tolerant_parents
from selma_plugins.evaluation.dsg_scores import summarise_rows
from selma_plugins.evaluation.options import DSG_RULES
from selma_plugins.evaluation.rules import RULES, Question, rule_of

from selma_core.data import Atom, ItemAtoms
from selma_core.errors import UnknownNameError

CHAIN = [Question("1", "0", 0.0), Question("2", "1", 1.0), Question("3", "2", 1.0)]


def image(rule: str, questions: list[Question]) -> float | None:
    return rule_of(rule).image(questions)


def test_defect_11_cascade_in_place_depends_on_row_order() -> None:
    assert image("official", CHAIN) == pytest.approx(1 / 3)
    assert image("official", CHAIN[::-1]) == pytest.approx(1 / 3)
    assert image("selma", CHAIN) == 0.0
    assert image("selma", CHAIN[::-1]) == pytest.approx(1 / 3)
    assert image("transitive", CHAIN) == image("transitive", CHAIN[::-1]) == 0.0
    assert image("nodep", CHAIN) == pytest.approx(2 / 3)


def test_defect_11_micro_and_macro_differ() -> None:
    """One prompt with one question answered yes, one with three answered no."""
    specs = {name: {"questions": [question(str(i)) for i in range(1, n + 1)]} for name, n in (("a", 1), ("b", 3))}
    rows = [
        ItemAtoms(item_id=f"{name}-0", prompt_id=name, k=0, atoms=tuple(Atom(key=q["id"], value=value) for q in asked))
        for name, value in (("a", 1.0), ("b", 0.0))
        for asked in [specs[name]["questions"]]
    ]
    means = {rule: summarise_rows(rows, specs, rule, metric="dsg", judge="j").mean for rule in DSG_RULES}
    assert means.pop("selma") == 25.0
    assert set(means.values()) == {50.0}


def test_defect_11_blank_padded_parent_is_parsed_with_a_warning() -> None:
    fields = {"1": "0", "2": " 1"}
    assert tolerant_parents(fields) == official_parents(fields) == {"1": (), "2": ("1",)}
    assert raw_parents(fields) == {"1": (), "2": ()}
    assert complaints(fields) == ["question 2 depends on ' 1': padded with blanks, trimmed"]


def question(key: str) -> dict[str, str]:
    return {"id": key, "question": "?", "dependency": "0", "category_broad": "entity", "category_detailed": "whole"}


def test_one_word_in_a_field_drops_the_whole_graph_only_officially() -> None:
    fields = {"1": "0", "2": "1", "3": "2, right"}
    assert official_parents(fields) == {"1": (), "2": (), "3": ()}
    assert tolerant_parents(fields) == {"1": (), "2": ("1",), "3": ("2",)}
    assert complaints(fields) == ["question 3 depends on ' right': not a number, dropped"]


def test_unknown_and_own_ids_are_dropped_and_named() -> None:
    fields = {"1": "1", "2": "7"}
    assert tolerant_parents(fields) == {"1": (), "2": ()}
    assert complaints(fields) == [
        "question 1 depends on '1': itself, dropped",
        "question 2 depends on '7': no such question, dropped",
    ]


def test_a_cycle_ends() -> None:
    ring = [Question("1", "2", 1.0), Question("2", "1", 1.0)]
    assert image("transitive", ring) == 1.0
    assert rule_of("transitive").zero([ring[0], Question("2", "1", 0.0)]) == [0.0, 0.0]


def test_strict_needs_every_yes() -> None:
    assert image("strict", CHAIN) == 0.0
    assert image("strict", [Question("1", "0", 1.0), Question("2", "1", 1.0)]) == 1.0


@pytest.mark.parametrize("rule", [name for name in DSG_RULES if name not in ("nodep", "strict")])
def test_a_question_counts_only_with_what_it_depends_on(rule: str) -> None:
    lost = [Question("1", "0", None), Question("2", "1", 1.0), Question("3", "0", 1.0)]
    assert rule_of(rule).zero(lost) == [None, None, 1.0]


def test_strict_says_nothing_of_an_image_with_a_lost_answer() -> None:
    assert image("strict", [Question("1", "0", None), Question("2", "0", 1.0)]) is None


def test_unknown_rule_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'official'"):
        rule_of("oficial")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("yes", "yes"),
        (" Yes. ", "yes"),
        ("'YES!'", "yes"),
        ("No", "no"),
        ("", "unclear"),
        ("yes, probably", "unclear"),
        ("yesterday", "unclear"),
        ("unanswerable", "unclear"),
    ],
)
def test_only_a_bare_yes_counts(answer: str, expected: str) -> None:
    assert verdict(answer) == expected


@st.composite
def graphs(draw: st.DrawFn) -> list[Question]:
    """Up to 8 questions, each depending on any others, answered yes or no."""
    count = draw(st.integers(1, 8))
    parents = st.lists(st.integers(0, count), min_size=1, max_size=3)
    return [Question(str(i + 1), ",".join(map(str, draw(parents))), float(draw(st.booleans()))) for i in range(count)]


@given(graphs())
def test_rules_only_ever_lower_a_score(questions: list[Question]) -> None:
    raw = RULES["nodep"].zero(questions)
    for name in ("official", "tolerant", "selma", "transitive"):
        assert all(a in (b, 0.0) for a, b in zip(RULES[name].zero(questions), raw, strict=True)), name


@given(graphs())
def test_stricter_rules_score_lower(questions: list[Question]) -> None:
    value = {name: rule.image(questions) or 0.0 for name, rule in RULES.items()}
    assert value["strict"] <= value["transitive"] <= value["selma"] <= value["official"] <= value["nodep"]
    assert value["official"] == value["tolerant"]


@given(graphs(), st.randoms())
def test_row_order_matters_to_no_rule_but_selma(questions: list[Question], random: object) -> None:
    shuffled = list(questions)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for name in ("official", "tolerant", "transitive", "nodep", "strict"):
        assert RULES[name].image(shuffled) == pytest.approx(RULES[name].image(questions))


@given(graphs())
def test_all_yes_is_full_marks_under_every_rule(questions: list[Question]) -> None:
    perfect = [Question(q.id, q.dependency, 1.0) for q in questions]
    assert all(rule.image(perfect) == 1.0 for rule in RULES.values())


def test_defect_12_scoring_imports_no_torch() -> None:
    code = (
        "import sys; from selma_plugins.evaluation.dsg import Dsg;"
        "from selma_plugins.evaluation.options import DsgOptions;"
        "from selma_core.options import Slot; from selma_core.data import Atom, ItemAtoms; import selma_core.scoring;"
        "d = Dsg(DsgOptions(benchmark='b', judge=Slot('j')));"
        "q = dict(id='1', question='?', dependency='0', category_broad='e', category_detailed='w');"
        "atoms = (Atom(key='1', value=1.0),); specs = {'p': {'questions': [q]}};"
        "assert d.score(atoms, specs['p'], 'official') == 1.0;"
        "rows = [ItemAtoms(item_id='p-0', prompt_id='p', k=0, atoms=atoms)];"
        "assert d.aggregate(rows, specs, 'official').mean == 100;"
        "heavy = {'torch', 'transformers', 'diffusers', 'peft', 'scipy'} & sys.modules.keys();"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

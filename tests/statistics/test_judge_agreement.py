"""How far two judges agree: by hand, by properties, from stored observations."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selma_core.artifacts.scores import ScoreTable
from selma_core.data import Atom, ItemAtoms, MetricInfo
from selma_core.judge_agreement import Agreement, Answered, agreement, agreement_rows, answered_by_both

answers = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


def of(pairs: list[tuple[bool, bool]]) -> Agreement:
    return agreement(Answered(first=a, second=b) for a, b in pairs)


def test_by_hand() -> None:
    """20 both yes, 5 only the first, 10 only the second, 15 both no: equal .7, chance .5 * .6 + .5 * .4 = .5."""
    found = of([(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15)
    assert (found.n, found.equal) == (50, pytest.approx(0.7))
    assert found.kappa == pytest.approx(0.4)


def test_nothing_and_no_choice() -> None:
    assert of([]) == Agreement(n=0, equal=None, kappa=None)
    assert of([(True, True)] * 4) == Agreement(n=4, equal=1.0, kappa=None)
    assert of([(True, False)] * 4).kappa == 0.0  # each gives one answer, another one: as by chance


@given(answers)
def test_it_does_not_matter_who_is_first_or_which_answer_is_called_yes(pairs: list[tuple[bool, bool]]) -> None:
    found, turned, other = of(pairs), of([(b, a) for a, b in pairs]), of([(not a, not b) for a, b in pairs])
    for one in (turned, other):
        assert one.equal == pytest.approx(found.equal)
        assert one.kappa == pytest.approx(found.kappa)


@given(answers)
def test_kappa_is_1_only_for_equal_answers_and_never_above_the_share(pairs: list[tuple[bool, bool]]) -> None:
    found = of(pairs)
    assert found.equal is not None
    if found.kappa is not None:
        assert -1 - 1e-9 <= found.kappa <= found.equal + 1e-9
        assert (found.kappa == pytest.approx(1.0)) == (found.equal == 1.0)


def table(judge: str, rows: dict[str, list[Any]], metric: str = "dsg") -> ScoreTable:
    kinds = ("color", "count", "color")

    def atom(number: int, value: Any) -> Atom:
        data = {"category_broad": "any", "category_detailed": kinds[number]}
        status = "ok" if value is not None else "error"
        return Atom(key=str(number), value=value, status=status, data=data)

    items = (
        ItemAtoms(item_id=name, prompt_id=name, k=0, atoms=tuple(atom(i, v) for i, v in enumerate(values)))
        for name, values in rows.items()
    )
    return ScoreTable(MetricInfo(name=metric, judge=judge), {}, tuple(items))


def test_only_what_both_answered_about_the_same_image_counts() -> None:
    first = table("a", {"x": [1, None, 0], "y": [1, 1, 1]})
    second = table("b", {"x": [0, 1, 0], "z": [1, 1, 1]})
    pairs = list(answered_by_both(first, second))
    assert pairs == [
        Answered(first=True, second=False, category="color"),
        Answered(first=False, second=False, category="color"),
    ]


def test_rows_of_a_run() -> None:
    first = {"base": table("a", {"x": [1, 0, 1]}), "merged": table("a", {"x": [1, 1, 0]})}
    second = {"base": table("b", {"x": [1, 1, 1]}), "merged": table("b", {"x": [1, 1, 0]})}
    tables = [*first.items(), *second.items()]
    (row,) = agreement_rows(tables)
    assert row["judges"] == ["a", "b"]
    assert (row["metric"], row["n"], row["equal"]) == ("dsg", 6, pytest.approx(5 / 6))
    assert {name: found["equal"] for name, found in row["by_variant"].items()} == {
        "base": pytest.approx(2 / 3),
        "merged": 1.0,
    }
    assert {name: found["n"] for name, found in row["by_category"].items()} == {"color": 4, "count": 2}
    assert json.loads(json.dumps(row)) == row


def test_another_metric_the_same_judge_and_probabilities_give_no_row() -> None:
    one = table("a", {"x": [1, 0, 1]})
    assert agreement_rows([("base", one)]) == []
    assert agreement_rows([("base", one), ("base", table("a", {"x": [1, 0, 1]}))]) == []
    assert agreement_rows([("base", one), ("other", table("b", {"x": [1, 0, 1]}))]) == []
    assert agreement_rows([("base", one), ("base", table("b", {"x": [1, 0, 1]}, metric="tifa"))]) == []
    assert agreement_rows([("base", one), ("base", table("b", {"x": [0.7, 0.2, 0.6]}))]) == []


def test_it_needs_no_torch() -> None:
    code = "import sys, selma_core.judge_agreement; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

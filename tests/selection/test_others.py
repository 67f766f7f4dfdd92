"""`best_of` over several rewards, `pareto`, `threshold`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.selection.best_of import BestOf
from selma_plugins.selection.options import BestOfOptions, ParetoOptions, ThresholdOptions
from selma_plugins.selection.order import front
from selma_plugins.selection.pareto import Pareto
from selma_plugins.selection.threshold import Threshold

from tests.selection.kit import Values, chosen, job, why

WIDE: Values = {"big": [100.0, 0.0, 60.0], "small": [0.0, 0.5, 0.9]}


def best(**options: Any) -> BestOf:
    return BestOf(BestOfOptions(**options))


def test_one_metric_as_before(tmp_path: Path) -> None:
    work = job(tmp_path, {"p": WIDE, "q": {"big": [None, 7.0, 7.0], "small": [1, 1, 1]}})
    assert chosen(best(metric="big"), work) == ["p-0", "q-1"]
    assert chosen(best(metric="big", lowest=True, keep=2), work) == ["p-1", "p-2", "q-1", "q-2"]
    assert chosen(best(metric="big", threshold=50.0), work) == ["p-0"]
    assert chosen(best(metric="big", limit=1), work) == chosen(best(metric="big", top_frac=0.5), work) == ["p-0"]
    assert chosen(best(metric="big", limit=1, lowest=True), work) == ["p-1"]


def test_a_sum_follows_the_widest_scale_and_zscores_do_not(tmp_path: Path) -> None:
    work = job(tmp_path, {"p": WIDE})
    assert chosen(best(rewards=["big", "small"]), work) == ["p-0"]
    assert chosen(best(rewards=["big", "small"], mode="zscore_sum"), work) == ["p-2"]
    assert chosen(best(rewards=["big", "small"], weights={"big": 0.0}), work) == ["p-2"]
    (reason,) = why(best(rewards=["big", "small"], weights={"small": 2.0}), work).values()
    assert reason["value"] == 100.0
    assert reason["values"] == {"big": 100.0, "small": 0.0}
    assert reason["parts"] == {"big": 100.0, "small": 0.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs one of metric"),
        ({"metric": "a", "rewards": ["b"]}, "needs one of metric"),
        ({"rewards": ["a", "a"]}, "twice"),
        ({"rewards": ["alpha"], "weights": {"alpah": 1.0}}, "did you mean 'alpha'"),
        ({"metric": "a", "top_frac": 0.0}, "above 0"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BestOfOptions(**options)


def test_pareto_keeps_what_nothing_beats(tmp_path: Path) -> None:
    values: Values = {"a": [3.0, 2.0, 1.0, 1.0], "b": [1.0, 2.0, 3.0, 1.0]}
    work = job(tmp_path, {"p": values})
    assert sorted(chosen(Pareto(ParetoOptions(rewards=["a", "b"])), work)) == ["p-0", "p-1", "p-2"]
    assert chosen(Pareto(ParetoOptions(rewards=["a", "b"], lowest=["b"])), work) == ["p-0"]
    found = why(Pareto(ParetoOptions(rewards=["a", "b"])), work)
    assert [found[f"p-{k}"]["best_by"] for k in range(3)] == [["a"], [], ["b"]]
    assert found["p-0"]["front"] == 3
    assert chosen(Pareto(ParetoOptions(rewards=["a", "b"], keep=1)), work) == ["p-1"]  # the lowest sum of ranks


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=9))
def test_nothing_on_the_front_is_beaten_and_all_else_is(points: list[tuple[int, int]]) -> None:
    kept = front(points)
    assert kept
    for place, point in enumerate(points):
        beaten = any(o != point and o[0] >= point[0] and o[1] >= point[1] for o in points)
        assert (place in kept) == (not beaten)


def test_threshold_keeps_all_that_are_good_enough(tmp_path: Path) -> None:
    work = job(tmp_path, {"p": {"a": [0.9, 0.8, 0.2, None], "b": [0.1, 0.9, 0.9, 0.9]}})
    both = Threshold(ThresholdOptions(bounds={"a": 0.5, "b": 0.5}))
    assert chosen(both, work) == ["p-1"]
    assert chosen(Threshold(ThresholdOptions(bounds={"a": 0.5, "b": 0.5}, need="any")), work) == ["p-0", "p-1", "p-2"]
    assert chosen(Threshold(ThresholdOptions(bounds={"a": 0.5})), work) == ["p-0", "p-1"]
    assert chosen(Threshold(ThresholdOptions(bounds={"a": 0.1}, keep=1)), work) == ["p-0"]
    assert chosen(Threshold(ThresholdOptions(bounds={"b": 0.5}, lowest=["b"])), work) == ["p-0"]
    assert why(both, work)["p-1"] == {
        "rule": "threshold",
        "of": 4,
        "values": {"a": 0.8, "b": 0.9},
        "passed": ["a", "b"],
    }

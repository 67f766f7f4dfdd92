"""Numbers of a metric are shown with the decimals that they need."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from selma_core.cli.tables import print_tables
from selma_core.rounding import decimals, decimals_by_metric


@pytest.mark.parametrize(
    ("values", "expected"),
    [([74.2, 0.0], 1), ([-21.4], 1), ([1.25, 0.1], 2), ([0.31], 3), ([0.0312, None], 4), ([], 1), ([0.0, None], 1)],
)
def test_what_a_metric_needs(values: list[float | None], expected: int) -> None:
    assert decimals(values) == expected


@given(st.lists(st.floats(0.001, 99), min_size=1, max_size=5))
def test_two_digits_of_the_largest_are_seen(values: list[float]) -> None:
    largest = max(values)
    assert abs(round(largest, decimals(values)) - largest) <= 0.06 * largest


def test_a_table_shows_each_metric_in_its_own_way(capsys: pytest.CaptureFixture[str]) -> None:
    def score(mean: float) -> dict[str, object]:
        return {"mean": mean, "low": mean * 0.9, "high": mean * 1.1, "n_prompts": 2, "n_images": 2}

    scores = {"a": {"dsg": score(70.0), "denscore": score(0.021)}, "b": {"dsg": score(8.0)}}
    assert decimals_by_metric(scores) == {"dsg": 1, "denscore": 4}
    row = {"variant": "a", "baseline": "b", "metric": "denscore", "difference": 0.0031, "low": 0.001, "high": 0.005}
    result = {"scores": scores, "comparisons": [{**row, "p": 0.2}]}
    print_tables(Console(width=200), result, "title")
    out = capsys.readouterr().out
    assert "0.0210" in out
    assert "0.0189 .. 0.0231" in out
    assert "+0.0031" in out
    assert "+0.0010 .. +0.0050" in out
    assert "8.0" in out

"""The picture of an ablation."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from selma_core.report.forest import forest_svg

NAMES = {"linear": 70.0, "ties<b>": 74.0, "dare": 61.5, "slerp": 70.4}
ENDS = {"ties<b>": (4.0, 1.5, 6.0), "dare": (-8.5, -11.0, -6.0), "slerp": (0.4, -1.0, 1.9)}


def result(higher: bool = True, p: float = 0.001) -> dict[str, object]:
    return {
        "metric": "dsg",
        "baseline": "linear",
        "scores": {name: {"dsg": {"mean": mean}} for name, mean in NAMES.items()} | {"lost": {"dsg": {"mean": None}}},
        "comparisons": [
            {"variant": name, "baseline": "linear", "metric": "dsg", "higher_is_better": higher, "p": p}
            | {"difference": d, "low": low, "high": high}
            for name, (d, low, high) in ENDS.items()
        ],
    }


def test_each_variant_has_a_row_with_its_numbers() -> None:
    root = ElementTree.fromstring(forest_svg(result(), "merging & more"))
    texts = ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "merging & more"
    for expected in ("ties<b>", "74.0 +4.0 [+1.5, +6.0]", "61.5 -8.5 [-11.0, -6.0]", "70.0", "0"):
        assert expected in [" ".join(text.split()) for text in texts]
    assert "lost" not in texts


def test_only_an_interval_clear_of_zero_has_a_colour() -> None:
    root = ElementTree.fromstring(forest_svg(result(), "t"))
    dots = [each.attrib for each in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert [dot["class"] for dot in dots] == ["up", "down", "open"]
    lower = ElementTree.fromstring(forest_svg(result(higher=False), "t"))
    kinds = [each.attrib["class"] for each in lower.iter("{http://www.w3.org/2000/svg}circle")]
    assert kinds == ["down", "up", "open"]
    left, right = float(dots[1]["cx"]), float(dots[0]["cx"])
    zero = next(e for e in root.iter("{http://www.w3.org/2000/svg}line") if e.get("class") == "zero")
    assert left < float(zero.attrib["x1"]) < right
    # 8.5 to one side is 8.5/4 as far as 4 to the other.
    assert (float(zero.attrib["x1"]) - left) / (right - float(zero.attrib["x1"])) == pytest.approx(8.5 / 4, rel=0.01)


def test_what_the_verdicts_leave_open_is_grey() -> None:
    root = ElementTree.fromstring(forest_svg(result(p=0.2), "t"))
    assert {each.attrib["class"] for each in root.iter("{http://www.w3.org/2000/svg}circle")} == {"open"}


def test_no_comparison_is_no_failure() -> None:
    alone = result() | {"comparisons": []}
    assert "70.0" in forest_svg(alone, "t")

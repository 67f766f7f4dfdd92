"""`selma compare`: the paired rows that the released answers give, what it refuses, training seeds, groups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from selma_core.data import Atom
from selma_core.statistics import holm

Call = Callable[..., Any]
Folder = Callable[..., Path]


@pytest.mark.parametrize("index", [0, 1])
def test_published_pairs(index: int, call: Call, folder: Folder, golden: dict[str, Any]) -> None:
    expected = golden["paired"][index]
    found = call("compare", folder(expected["from"]), folder(expected["to"]), "--json")
    (row,) = found["comparisons"]
    assert (row["wins"], row["ties"], row["losses"]) == (expected["wins"], expected["ties"], expected["losses"])
    assert (row["difference"], row["se"]) == pytest.approx((expected["difference"], expected["se"]), abs=5e-5)
    assert (row["low"], row["high"]) == pytest.approx(expected["ci"], abs=0.2)
    assert expected["p"][0] <= row["p"] <= expected["p"][1]
    assert row["mde"] == pytest.approx(2.8 * row["se"])
    assert (row["n"], row["runs"]) == (160, [1, 1])
    assert [score["coverage"] for score in found["scores"]] == [1.0, 1.0]


def test_bca_moves_the_ends_a_little(call: Call, folder: Folder) -> None:
    places = folder("sd1dot5"), folder("sd2dot1")
    (plain,), (bca,) = (
        call("compare", *places, *more, "--json")["comparisons"] for more in ((), ("--interval", "bca"))
    )
    assert plain["low"] != bca["low"]
    assert (bca["low"], bca["high"]) == pytest.approx((plain["low"], plain["high"]), abs=0.5)


def test_holm_is_over_all_that_is_shown(call: Call, folder: Folder) -> None:
    places = [folder(model) for model in ("sd1dot1", "sd1dot5", "sd2dot1", "mini-dalle")]
    found = call("compare", *places, "--baseline", places[1], "--json")["comparisons"]
    assert [row["variant"] for row in found] == [str(places[i]) for i in (0, 2, 3)]
    assert [row["p_holm"] for row in found] == pytest.approx(holm([row["p"] for row in found]))


def test_text_names_judge_rule_and_what_could_be_seen(call: Call, folder: Folder) -> None:
    text = call("compare", folder("sd1dot5"), folder("sd2dot1"), "--rule", "nodep")
    for shown in ("pali17b", "nodep", "+5.29", "p (Holm)", "MDE", "for the 1 comparison shown", "Single training runs"):
        assert shown in text


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"judge": "mplug"}, "sd1dot5 is dsg by rule 'official', judge 'pali17b'"),
        ({"rules": ("nodep", "official")}, "is dsg by rule 'nodep', judge 'pali17b'; --across compares all the same"),
    ],
)
def test_numbers_of_different_judges_or_rules(change: Any, line: str, call: Call, folder: Folder) -> None:
    places = folder("sd1dot5"), folder("sd2dot1", **change)
    refused = call("compare", *places, code=2)
    assert refused.startswith("not the same number: ")
    assert line in refused
    (row,) = call("compare", *places, "--across", "--json")["comparisons"]
    assert row["n"] == 160


def test_failed_answers_are_left_out_of_the_pairs(call: Call, folder: Folder) -> None:
    def fail(prompt: str, atom: Atom) -> Atom:
        return attrs.evolve(atom, value=None, status="error") if prompt == "tifa160_3" else atom

    found = call("compare", folder("sd1dot5"), folder("sd2dot1", answer=fail), "--json")
    assert found["comparisons"][0]["n"] == 159
    assert found["scores"][1]["coverage"] < 1


def test_a_run_against_its_own_baseline(call: Call, store_run: Callable[..., str], tmp_path: Path) -> None:
    variants = {"best": "sd2dot1", "base": "sd1dot5", "old": "sd1dot1"}
    run = store_run("20260101-000000-a-0000", variants, {"baseline": "base"})
    at = ("--store", tmp_path / "store", "--json")
    rows = call("compare", "latest", *at)["comparisons"]
    assert [(row["variant"], row["baseline"]) for row in rows] == [
        (f"{run}:best", f"{run}:base"),
        (f"{run}:old", f"{run}:base"),
    ]
    (row,) = call("compare", "latest:best", "latest:old", "--baseline", "old", *at)["comparisons"]
    assert (row["variant"], row["baseline"]) == (f"{run}:best", f"{run}:old")
    assert "no single variant 'odl'" in call("compare", "latest", "--baseline", "odl", *at[:2], code=2)
    assert "no scores in metric 'tifa'" in call("compare", "latest", "--metric", "tifa", *at[:2], code=2)


def flipped(share: int) -> Callable[[str, Atom], Atom]:
    """Every `share`-th prompt loses all its answers: a training seed that went worse."""

    def change(prompt: str, atom: Atom) -> Atom:
        return attrs.evolve(atom, value=0.0) if share and int(prompt.rpartition("_")[2]) % share == 0 else atom

    return change


def test_training_seeds_are_a_second_level(call: Call, store_run: Callable[..., str], tmp_path: Path) -> None:
    runs = [
        store_run(
            f"2026010{i}-000000-a-0000",
            {"base": "sd1dot5", "best": {"model": "sd2dot1", "answer": flipped(share)}},
            {"baseline": "base"},
        )
        for i, share in enumerate((0, 3, 40))
    ]
    at = ("--store", tmp_path / "store", "--json")
    (found,) = call("compare", *runs, "--seeds", *at)["comparisons"]
    single = [call("compare", run, *at)["comparisons"][0] for run in runs]
    assert found["difference"] == pytest.approx(sum(row["difference"] for row in single) / 3)
    assert found["high"] - found["low"] > 1.5 * max(row["high"] - row["low"] for row in single)
    assert (found["variant"], found["baseline"], found["runs"], found["n"]) == ("best", "base", [3, 3], 160)


def test_seeds_and_across_exclude_each_other(call: Call, folder: Folder) -> None:
    assert "drop --across" in call("compare", folder("sd1dot5"), folder("sd2dot1"), "--seeds", "--across", code=2)


def test_groups_get_q_values(call: Call, folder: Folder) -> None:
    found = call("compare", folder("sd1dot5"), folder("sd2dot1"), "--groups", "--json")
    (group,) = found["groups"]
    assert (group["group"], group["n"], group["q"]) == ("tifa", 160, group["p"])
    assert group["difference"] == pytest.approx(found["comparisons"][0]["difference"])


def test_nothing_to_compare(call: Call, folder: Folder) -> None:
    place = folder("sd1dot5")
    assert "a comparison needs two variants" in call("compare", place, code=2)
    assert "a comparison needs two variants" in call("compare", place, place, code=2)
    assert "name what to compare" in call("compare", code=2)

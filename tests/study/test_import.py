"""`selma study import`: win rates by hand, ties, agreement, attention checks, files that do not belong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
Choose = Callable[[str, Mapping[str, Any]], str]


@pytest.fixture
def study(call: Call, sets: dict[str, Path], tmp_path: Path) -> dict[str, Any]:
    """An exported study with its key."""
    call("study", "export", sets["a"], sets["b"], "--out", tmp_path / "s", "--checks", 2)
    found: dict[str, Any] = json.loads((tmp_path / "s.key.json").read_text())
    return found


@pytest.fixture
def answer(study: dict[str, Any], tmp_path: Path) -> Callable[..., Path]:
    """Writes a rater's file. `choose(pair, secret)` gives a, b or tie; attention checks are passed unless told."""

    def write(rater: str, choose: Choose, /, *, attentive: bool = True, skip: int = 0, **changes: Any) -> Path:
        answers = {}
        for number, (pair, secret) in enumerate(study["pairs"].items()):
            other = {"left": "right", "right": "left"}
            if secret["check"]:
                side = secret["check"] if attentive else other[secret["check"]]
            else:
                won = choose(pair, secret)
                side = "tie" if won == "tie" else secret["a"] if won == "a" else other[secret["a"]]
            if number >= skip:
                answers[pair] = {"alignment": side, "quality": "tie", "seconds": 1.5}
        path = tmp_path / f"{rater}.json"
        data = {"schema": 1, "study": study["study"], "rater": rater, "answers": answers} | changes
        path.write_text(json.dumps(data))
        return path

    return write


def test_one_set_always_wins(call: Call, answer: Callable[..., Path], tmp_path: Path) -> None:
    files = [answer(name, lambda pair, secret: "a") for name in ("ana", "ben", "cy")]
    found = call("study", "import", tmp_path / "s", *files, "--json")
    alignment, quality = found["questions"]["alignment"], found["questions"]["quality"]
    assert (alignment["win_rate"], alignment["low"], alignment["high"]) == (100, 100, 100)
    assert (alignment["wins"], alignment["ties"], alignment["losses"]) == (30, 0, 0)
    assert (alignment["n_answers"], alignment["n_missing"]) == (30, 0)
    assert (alignment["n_prompts"], alignment["n_raters"], found["n_pairs"]) == (5, 3, 10)
    assert (quality["win_rate"], quality["ties"], quality["alpha"]) == (50, 30, None)


def test_ties_count_half_and_agreement_is_of_winners_not_of_sides(
    call: Call, answer: Callable[..., Path], tmp_path: Path
) -> None:
    """Two raters agree on every pair: 4 prompts for a or b, one a tie; the sides they chose are mixed."""
    won = {"p0": "a", "p1": "a", "p2": "a", "p3": "b", "p4": "tie"}
    files = [answer(name, lambda pair, secret: won[secret["prompt_id"]]) for name in ("ana", "ben")]
    alignment = call("study", "import", tmp_path / "s", *files, "--json")["questions"]["alignment"]
    assert alignment["win_rate"] == pytest.approx(100 * 3.5 / 5)
    assert alignment["alpha"] == 1.0
    assert alignment["low"] < 70 < alignment["high"]


def test_alpha_by_hand(call: Call, answer: Callable[..., Path], tmp_path: Path) -> None:
    """10 units, 2 raters who differ in 2: Do = 2 / 10; 18 votes a, 2 votes b of 20: De = 2 * 18 * 2 / (20 * 19)."""
    files = [
        answer("ana", lambda pair, secret: "a"),
        answer("ben", lambda pair, secret: "b" if secret["prompt_id"] == "p0" else "a"),
    ]
    alignment = call("study", "import", tmp_path / "s", *files, "--json")["questions"]["alignment"]
    assert alignment["alpha"] == pytest.approx(1 - 0.2 / (72 / 380))


def test_failed_checks_leave_a_rater_out_and_say_so(call: Call, answer: Callable[..., Path], tmp_path: Path) -> None:
    files = [answer("ana", lambda p, s: "a"), answer("bot", lambda p, s: "b", attentive=False)]
    found = call("study", "import", tmp_path / "s", *files, "--json")
    assert found["questions"]["alignment"]["win_rate"] == 100
    assert [(row["rater"], len(row["failed_checks"]), row["left_out"]) for row in found["raters"]] == [
        ("ana", 0, False),
        ("bot", 2, True),
    ]
    lenient = call("study", "import", tmp_path / "s", *files, "--allowed-failures", 2, "--json")
    assert lenient["questions"]["alignment"]["win_rate"] == 50
    assert "rater 'bot' failed 2 attention checks: left out" in call("study", "import", tmp_path / "s", *files)


def test_nobody_left(call: Call, answer: Callable[..., Path], tmp_path: Path) -> None:
    found = call("study", "import", tmp_path / "s", answer("bot", lambda p, s: "a", attentive=False), "--json")
    assert (found["questions"]["alignment"]["win_rate"], found["questions"]["alignment"]["n_answers"]) == (None, 0)


def test_unfinished_answers_are_missing(call: Call, answer: Callable[..., Path], tmp_path: Path) -> None:
    files = [answer("ana", lambda p, s: "a"), answer("ben", lambda p, s: "a", skip=6)]
    alignment = call("study", "import", tmp_path / "s", *files, "--json")["questions"]["alignment"]
    assert alignment["n_answers"] + alignment["n_missing"] == 20
    assert alignment["n_missing"] >= 4
    assert alignment["win_rate"] == 100


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"study": "feed"}, "belongs to another study (feed"),
        ({"answers": {"pair-9999": {}}}, "answers 'pair-9999', which is no pair of this study"),
        ({"answers": {"pair-0001": {"alignment": "up"}}}, "pair-0001, alignment: 'up' is none of left, tie, right"),
        ({"schema": 7}, "is no file of answers of this version"),
        ({"rater": None}, "is no file of answers of this version"),
    ],
)
def test_files_that_do_not_belong(
    changes: dict[str, Any], line: str, call: Call, answer: Callable[..., Path], tmp_path: Path
) -> None:
    assert line in call("study", "import", tmp_path / "s", answer("ana", lambda p, s: "a", **changes), code=2)


def test_other_wrong_calls(call: Call, answer: Callable[..., Path], tmp_path: Path) -> None:
    one, two = answer("ana", lambda p, s: "a"), answer("ben", lambda p, s: "a", rater="ana")
    assert "are both of rater 'ana'" in call("study", "import", tmp_path / "s", one, two, code=2)
    assert "name the raters' files" in call("study", "import", tmp_path / "s", code=2)
    assert "no key " in call("study", "import", tmp_path / "t", one, code=2)
    (tmp_path / "no.json").write_text("[]")
    assert "is no file of answers" in call("study", "import", tmp_path / "s", tmp_path / "no.json", code=2)

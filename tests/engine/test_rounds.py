"""Loops as data: an axis of rounds becomes ordinary nodes, each reading the round before."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import selma_core
from selma_core.ablation import open_ablation
from selma_core.errors import ConfigErrors
from selma_core.graph.axes import Round, expand_axes, substitute
from selma_core.graph.braces import drop_before_first
from selma_core.graph.problems import Problems
from selma_core.session import Session, open_session
from tests.engine.kit import Call, write_recipe

LOOP: dict[str, Any] = {
    "axes": {
        "round": {"repeat": 2},
        "variant": {"base": {}, "round_{round}": {"sample": {"from": {"adapter": "tune[{round}]"}}}},
    },
    "stages": {
        "prompts": {"kind": "prompt_source", "use": "fake_prompts", "options": {"n": 3}},
        "draw": {
            "kind": "image_generator",
            "use": "fake_images",
            "foreach": "round",
            "from": {"prompts": "prompts", "adapter": "tune[{round-1}]"},
            "options": {"k": 2},
        },
        "rate": {"kind": "evaluator", "use": "fake_light", "foreach": "round", "from": {"images": "draw"}},
        "keep": {
            "kind": "selector",
            "use": "fake_first",
            "foreach": "round",
            "from": {"images": "draw", "scores": "rate"},
        },
        "tune": {
            "kind": "adapter_trainer",
            "use": "fake_train",
            "foreach": "round",
            "from": {"images": "keep", "adapter": "tune[{round-1}]"},
        },
        "sample": {
            "kind": "image_generator",
            "use": "fake_images",
            "foreach": "variant",
            "from": {"prompts": "prompts"},
        },
        "score": {"kind": "evaluator", "use": "fake_light", "foreach": "variant", "from": {"images": "sample"}},
    },
    "plugins": {"files": ["fakes.py"]},
    "report": {"scores": "score", "baseline": "base", "headline": "light"},
}

Opens = Callable[..., Session]


@pytest.fixture(autouse=True)
def loop(folder: Path) -> None:
    write_recipe(folder / "loop.yaml", LOOP)


def errors(session: Opens, *overrides: str) -> str:
    with pytest.raises(ConfigErrors) as caught:
        session("loop", overrides)
    return "\n".join(map(str, caught.value.errors))


def test_the_first_round_reads_nothing_before_it(session: Opens) -> None:
    graph = session("loop").graph
    assert graph["draw[1]"].inputs == {"prompts": ("prompts",)}
    assert graph["tune[1]"].inputs == {"images": ("keep[1]",)}
    assert graph["draw[2]"].inputs == {"prompts": ("prompts",), "adapter": ("tune[1]",)}
    assert graph["tune[2]"].inputs == {"images": ("keep[2]",), "adapter": ("tune[1]",)}
    assert graph["keep[2]"].inputs == {"images": ("draw[2]",), "scores": ("rate[2]",)}
    assert graph["sample[round_2]"].inputs["adapter"] == ("tune[2]",)


@given(rounds=st.integers(1, 9), more=st.integers(1, 5))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_more_rounds_change_none_of_the_earlier(session: Opens, rounds: int, more: int) -> None:
    few = session("loop", [f"axes.round.repeat={rounds}"]).graph
    many = session("loop", [f"axes.round.repeat={rounds + more}"]).graph
    assert len(few.nodes) == 1 + 4 * rounds + 2 * (1 + rounds)
    assert {name: node.fingerprint for name, node in few.nodes.items()}.items() <= {
        name: node.fingerprint for name, node in many.nodes.items()
    }.items()
    for number in range(2, rounds + 1):
        assert few[f"draw[{number}]"].inputs["adapter"] == few[f"tune[{number}]"].inputs["adapter"]
        assert few[f"draw[{number}]"].inputs["adapter"] == (f"tune[{number - 1}]",)
    prints = [few[f"tune[{number}]"].fingerprint for number in range(1, rounds + 1)]
    assert len(set(prints)) == rounds


def test_a_third_round_runs_alone(call: Call, folder: Path) -> None:
    assert call("run", "loop.yaml")[0] == 0
    _, out, _ = call("plan", "loop.yaml", "-o", "axes.round.repeat=3", "--json")
    status = {row["id"]: row["status"] for row in json.loads(out)["stages"]}
    new = {name for name, found in status.items() if found == "run"}
    assert new == {"draw[3]", "rate[3]", "keep[3]", "tune[3]", "sample[round_3]", "score[round_3]"}


def test_variants_of_the_number_of_rounds_share_their_rounds(folder: Path) -> None:
    loop = copy.deepcopy(LOOP)
    loop["axes"]["variant"]["last"] = {"sample": {"from": {"adapter": "tune[{round.last}]"}}}
    write_recipe(folder / "loop.yaml", loop)
    data = {"recipe": "loop.yaml", "metric": "light", "variant": "last", "vary": {"axes.round.repeat": [1, 2, 3]}}
    write_recipe(folder / "rounds.yaml", data)
    plan = open_ablation(folder / "rounds.yaml", store=folder / "store").plan
    run = [row.id for row in plan if row.status == "run"]
    assert [name for name in run if "tune" in name] == ["1:tune[1]", "2:tune[2]", "3:tune[3]"]


def test_the_report_shows_the_trend(call: Call, folder: Path) -> None:
    code, out, _ = call("run", "loop.yaml", "--json")
    assert code == 0
    text = Path(json.loads(out)["report"]).read_text()
    section = text.partition('id="rounds"')[2].partition("</section>")[0]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", section)][1:]
    assert [(row[0], row[1], row[3]) for row in rows] == [("1", "6", "3"), ("2", "6", "3")]
    for row in rows:
        (mean, low, high), (kept, *_) = numbers(row[2]), numbers(row[4])
        assert low <= mean <= high
        assert kept >= mean, "the kept ones are the better ones"
        assert row[5].count("95 % interval") == 2, "all images and the kept ones, drawn"
    assert rows[0][6] == "–"
    change, low, high = numbers(rows[1][6])
    assert low <= change <= high
    assert change == pytest.approx(numbers(rows[1][2])[0] - numbers(rows[0][2])[0], abs=0.0011)
    assert "rate: light" in section


def numbers(cell: str) -> list[float]:
    """The numbers of a table cell: the value, and the ends of its interval."""
    text = re.sub(r"<[^>]*>", " ", cell).replace("\N{MINUS SIGN}", "-").replace("+", "")
    return [float(found) for found in re.findall(r"-?\d+(?:\.\d+)?", text)]


def test_variants_of_an_ablation_have_their_own_trends(folder: Path) -> None:
    write_recipe(
        folder / "steps.yaml",
        {"recipe": "loop.yaml", "metric": "light", "variant": "round_2", "vary": {"stages.tune.options.steps": [5, 7]}},
    )
    done = selma_core.ablate(folder / "steps.yaml", store=folder / "store")
    assert done.report is not None
    section = done.report.read_text().partition('id="rounds"')[2].partition("</section>")[0]
    stages = re.findall(r"<caption>(.*?): light", section)
    assert stages[0] == "5:rate"
    assert set(stages) <= {"5:rate", "7:rate"}
    assert all(section.count(f'<th scope="row">{number}</th>') == len(stages) for number in (1, 2))


def test_rounds_run_resume_and_say_why(
    call: Call, log: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("FAKE_FAIL", "train")
        assert call("run", "loop.yaml")[0] != 0
    log()
    assert call("run", "loop.yaml")[0] == 0
    assert len([line for line in log() if line.startswith("train")]) == 2 * 5
    code, out, _ = call("why", "loop.yaml", "tune[2]", "-o", "stages.tune[2].options.steps=7")
    assert code == 0
    assert "steps" in out


def test_one_round_can_be_refined(session: Opens) -> None:
    graph = session("loop", ["stages.tune[2].options.steps=9"]).graph
    assert (graph["tune[1]"].bound.steps, graph["tune[2]"].bound.steps) == (5, 9)


def test_the_first_round_may_have_an_input_of_its_own(folder: Path, session: Opens) -> None:
    data = yaml.safe_load((folder / "loop.yaml").read_text())
    data["axes"]["round"]["first"] = {"tune": {"options": {"steps": 2}}, "draw": {"from": {"adapter": "old"}}}
    data["stages"]["old"] = {"kind": "adapter_trainer", "use": "fake_train", "from": {"images": "seed"}}
    data["stages"]["seed"] = {"kind": "image_generator", "use": "fake_images", "from": {"prompts": "prompts"}}
    write_recipe(folder / "loop.yaml", data)
    graph = session("loop").graph
    assert graph["draw[1]"].inputs["adapter"] == ("old",)
    assert graph["draw[2]"].inputs["adapter"] == ("tune[1]",)
    assert (graph["tune[1]"].bound.steps, graph["tune[2]"].bound.steps) == (2, 5)


def test_a_round_is_a_number_in_options_too(session: Opens) -> None:
    graph = session("loop", ["stages.tune.options.steps='{round}'"]).graph
    assert [graph[f"tune[{number}]"].bound.steps for number in (1, 2)] == [1, 2]


def test_loops_over_another_axis(folder: Path, session: Opens) -> None:
    data = yaml.safe_load((folder / "loop.yaml").read_text())
    data["axes"]["reward"] = ["a", "b"]
    data["axes"]["variant"] = {"{reward}": {"sample": {"from": {"adapter": "tune[{reward},{round.last}]"}}}}
    for label in ("draw", "rate", "keep", "tune"):
        data["stages"][label]["foreach"] = ["reward", "round"]
    for label in ("draw", "tune"):
        data["stages"][label]["from"]["adapter"] = "tune[{reward},{round-1}]"
    data["stages"]["tune"]["options"] = {"steps": "{round}"}
    data["report"] = {"scores": "score"}
    write_recipe(folder / "loop.yaml", data)
    graph = session("loop").graph
    assert graph["draw[b,2]"].inputs["adapter"] == ("tune[b,1]",)
    assert "adapter" not in graph["draw[b,1]"].inputs
    assert graph["sample[b]"].inputs["adapter"] == ("tune[b,2]",)


@pytest.mark.parametrize(
    ("override", "lines"),
    [
        ("axes.round.repeat=0", ["axes.round.repeat: must be the number of rounds, an integer of at least 1, not 0"]),
        ("axes.round.repeat=many", ["must be the number of rounds", "'many'"]),
        ("axes.round.repeat=true", ["must be the number of rounds", "not True"]),
        ("axes.round.fist={}", ["axes.round.fist: unknown key of an axis of rounds", "did you mean 'first'?"]),
        ("axes.round.first.tun.options.steps=1", ["axes.round.first.tun: unknown stage", "did you mean 'tune'?"]),
        ("axes.round.first.score.options={}", ["stage 'score' does not run over 'round'"]),
        ("axes.round=[1, 2]", ["'{round-1}' needs an axis of rounds; write axes.round: {repeat: 3}"]),
        ("stages.draw.from.adapter='tune[{round+1}]'", ["names a round that is not before this one"]),
        ("stages.draw.from.adapter='tune[{round}]'", ["read each other in a circle"]),
        ("stages.draw.from.adapter='tune[{roun-1}]'", ["there is no axis 'roun'", "did you mean 'round'?"]),
        ("stages.draw.from.prompts='keep[{round-1}]'", ["'prompts' is missing", "under axes.round.first"]),
        ("stages.sample.from.adapter='tune[3]'", ["there is no stage 'tune[3]'", "'tune[2]'"]),
        ("stages.sample.from.adapter='tune[0]'", ["there is no stage 'tune[0]'", "did you mean 'tune["]),
        ("stages.sample.from.adapter='tune[{round-1}]'", ["'{round}' has no value here"]),
        ("stages.sample.from.adapter=tune", ["takes one input, but 2 were given: tune[1], tune[2]"]),
    ],
)
def test_mistakes_are_one_line_with_what_to_type(session: Opens, override: str, lines: list[str]) -> None:
    if "circle" in lines[0]:
        with pytest.raises(Exception, match=lines[0]):
            session("loop", [override])
        return
    found = errors(session, override)
    assert all(line in found for line in lines), found


def test_braces_of_other_meanings_are_left_alone() -> None:
    names = {"round": Round(2, 5), "skill": "count"}
    assert substitute("{skill} {round} {round-1} {round.last} {x-1} {skill-1}", names) == "count 2 1 5 {x-1} {skill-1}"
    assert substitute("{round-1}", names) == 1
    assert substitute("{other}", names) == "{other}"


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 4))
def test_only_rounds_before_the_first_are_dropped(number: int, last: int, back: int) -> None:
    names = {"round": Round(min(number, last), last)}
    text = f"tune[{{round-{back}}}]"
    kept, opened = drop_before_first({"a": text, "b": ["old", text], "c": None}, names)
    early = min(number, last) - back < 1
    assert (kept["a"] is None) == early == (opened == {"a": "round"})
    assert kept["b"] == (["old"] if early else ["old", text])
    assert kept["c"] is None


@given(st.integers(1, 30))
def test_an_axis_of_rounds_counts_from_1(count: int) -> None:
    problems = Problems({})
    axes = expand_axes({"round": {"repeat": count}, "variant": {"r{round}": {"s": {"use": "{round.last}"}}}}, problems)
    assert not len(problems)
    assert [value.value for value in axes["round"]] == list(range(1, count + 1))
    assert [value.text for value in axes["variant"]] == [f"r{n}" for n in range(1, count + 1)]
    assert all(value.overlay["s"]["use"] == count for value in axes["variant"])


def test_the_example_of_the_reference_builds(folder: Path, root: Path) -> None:
    """docs/reference/recipe.md shows the same loop."""
    text = (root / "docs/reference/recipe.md").read_text()
    assert "repeat: 3" in text
    assert 'adapter: "tune[{round-1}]"' in text
    assert open_session(folder / "loop.yaml", ["axes.round.repeat=3"], store=folder / "store").graph["tune[3]"]

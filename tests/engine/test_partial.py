"""What is known before a run ends: how long it will take, and each score as its evaluator finishes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import selma_core
from selma_core.events import Event, Scored, StageStarted
from selma_core.graph.estimate import estimate
from selma_core.graph.plan import make_plan, members
from selma_core.session import open_session
from selma_core.store import Store
from tests.engine.kit import Call, write_recipe
from tests.engine.test_ablation import ABLATION


def test_scores_of_a_run_come_as_they_are_known(folder: Path) -> None:
    heard: list[Event] = []
    run = selma_core.run(folder / "selma.yaml", store=folder / "store", on_event=heard.append)
    found = {event.variant: event for event in heard if isinstance(event, Scored)}
    assert {name: event.mean for name, event in found.items()} == {
        name: metrics["light"]["mean"] for name, metrics in run.result["scores"].items()
    }
    assert all(event.metric == "light" and event.node.startswith("score[") for event in found.values())
    heard.clear()
    selma_core.run(folder / "selma.yaml", store=folder / "store", on_event=heard.append)
    assert not [event for event in heard if isinstance(event, Scored)]  # all of it is in the table at once


def test_scores_of_an_ablation_go_by_its_variants(folder: Path) -> None:
    write_recipe(folder / "scales.yaml", ABLATION)
    heard: list[Event] = []
    done = selma_core.ablate(folder / "scales.yaml", store=folder / "store", on_event=heard.append)
    found = {event.variant: event.mean for event in heard if isinstance(event, Scored)}
    assert {name: found[name] for name in ("one", "two", "three")} == {
        name: done.result["scores"][name]["light"]["mean"] for name in ("one", "two", "three")
    }
    assert set(found) <= set(ABLATION["variants"])


def test_a_variant_is_scored_before_the_next_one_is_merged(folder: Path) -> None:
    write_recipe(folder / "scales.yaml", ABLATION)
    heard: list[Event] = []
    selma_core.ablate(folder / "scales.yaml", store=folder / "store", on_event=heard.append)
    scored = next(i for i, e in enumerate(heard) if isinstance(e, Scored) and e.variant == "one")
    merged = next(i for i, e in enumerate(heard) if isinstance(e, StageStarted) and e.node == "two:merge")
    assert scored < merged


def test_a_failing_summary_does_not_end_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("selma_core.partial.summarise", broken)
    assert selma_core.run(folder / "selma.yaml", store=folder / "store").ok


def test_a_plan_expects_what_its_like_took(folder: Path) -> None:
    store = folder / "store"
    session = open_session(folder / "selma.yaml", store=store)
    assert estimate(make_plan(members(session.graph), Store(store)), Store(store)).seconds == 0.0
    selma_core.run(folder / "selma.yaml", store=store)
    took = {m.kind: m.seconds for m in Store(store).manifests() if m.label == "merge"}["merge_strategy"]
    other = open_session(folder / "selma.yaml", ["stages.merge.options.scale=7.0"], store=store)
    expected = estimate(make_plan(members(other.graph), Store(store)), Store(store))
    assert set(expected.stages) == {"merge", "sample[merged]", "score[merged]"}
    assert expected.unknown == 0
    assert expected.stages["merge"] == pytest.approx(took)


def test_the_plan_command_says_how_long(call: Call) -> None:
    assert call("run", "light.yaml")[0] == 0
    _, out, _ = call("plan", "light.yaml", "-o", "stages.images.options.shade=9")
    assert out.splitlines()[-1].startswith("expected: 0 s of work, by stages like these")
    plan = json.loads(call("plan", "light.yaml", "-o", "stages.images.options.shade=9", "--json")[1])
    assert plan["not_expected"] == 0
    assert plan["expected_seconds"] == pytest.approx(sum(row["expected_seconds"] or 0.0 for row in plan["stages"]))
    _, out, _ = call("plan", "light.yaml")
    assert "expected" not in out.splitlines()[-1]


def test_scores_are_printed_as_they_come(call: Call) -> None:
    _, _, err = call("run", "selma.yaml")
    assert " score merged: light " in err

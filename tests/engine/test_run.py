"""Whole runs over fake plugins: what is made, what is reused, what is said."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import selma_core
from selma_core.errors import StageError, UnknownNameError, UserError
from selma_core.events import (
    Event,
    RunFinished,
    RunStarted,
    Scored,
    StageFinished,
    StageProgress,
    StageStarted,
    StageWarning,
)
from selma_core.graph.plan import make_plan, members
from selma_core.result import Run
from selma_core.session import Session
from tests.engine.kit import contents

Start = Callable[..., Run]
SCORE_KEYS = {"mean", "low", "high", "n_prompts", "n_images"}
COMPARISON_KEYS = {"variant", "baseline", "metric", "difference", "low", "high", "p"}


def plan(session: Session) -> dict[str, str]:
    return {row.id: row.status for row in make_plan(members(session.graph), session.store)}


def test_a_whole_run_and_its_second_time(
    start: Start, session: Callable[..., Session], log: Callable[[], list[str]]
) -> None:
    assert set(plan(session("selma")).values()) == {"run"}
    first = start("selma")
    assert first.ok
    assert {node.outcome for node in first.nodes} == {"ran"}
    scored, drawn = first.score_node("merged", first.headline), first.sample_node("merged")
    assert scored is not None
    assert drawn is not None
    assert (scored.id, drawn.id) == ("score[merged]", "sample[merged]")
    assert drawn.id in scored.reads
    assert first.node("sample[base]").id not in scored.reads
    assert set(plan(session("selma")).values()) == {"hit"}
    log()
    second = start("selma")
    assert log() == []
    assert {node.outcome for node in second.nodes} == {"reused"}
    assert second.result["scores"] == first.result["scores"]

    # Another merge re-runs the merge and what follows, nothing else; the plan says so before.
    changed = {"merge", "sample[merged]", "score[merged]"}
    override = ["stages.merge.options.scale=3.0"]
    assert {name for name, status in plan(session("selma", override)).items() if status == "run"} == changed
    third = start("selma", override)
    assert {node.id for node in third.nodes if node.outcome == "ran"} == changed
    assert {line.split()[0] for line in log()} == {"merge", "images", "scores"}
    assert third.result["scores"]["merged"] != first.result["scores"]["merged"]
    check_contract(third)


def check_contract(run: Run) -> None:
    """The JSON of a run, as documented."""
    result = json.loads(json.dumps(run.result))
    assert set(result) == {
        *("run", "recipe", "report", "seconds", "stages"),
        *("scores", "comparisons", "agreement", "shared_judges"),
    }
    assert Path(result["report"]).read_text().lstrip().lower().startswith("<!doctype html")
    for stage in result["stages"]:
        assert set(stage) == {"id", "kind", "plugin", "fingerprint", "outcome", "seconds", "artifact"}
        assert (Path(stage["artifact"]) / "manifest.json").is_file()
    assert list(result["scores"]) == ["base", "expert_count", "expert_general", "merged"]
    for metrics in result["scores"].values():
        assert metrics["light"].keys() >= SCORE_KEYS
        assert 0 <= metrics["light"]["low"] <= metrics["light"]["mean"] <= metrics["light"]["high"] <= 100
        assert (metrics["light"]["n_prompts"], metrics["light"]["n_images"]) == (6, 12)
    assert [(row["variant"], row["baseline"]) for row in result["comparisons"]] == [
        ("merged", "base"),
        ("merged", "experts"),
    ]
    assert all(row.keys() >= COMPARISON_KEYS for row in result["comparisons"])
    means = {name: metrics["light"]["mean"] for name, metrics in result["scores"].items()}
    experts = (means["expert_count"] + means["expert_general"]) / 2
    assert result["comparisons"][0]["difference"] == pytest.approx(means["merged"] - means["base"])
    assert result["comparisons"][1]["difference"] == pytest.approx(means["merged"] - experts)
    stored = json.loads((run.store / "runs" / run.run_id / "run.json").read_text())
    assert stored.items() >= result.items()
    assert stored["state"] == "done"
    assert stored["config"]["stages"]["merge"]["use"] == "fake_merge"


def test_typed_access(start: Start) -> None:
    run = start("light")
    assert isinstance(run, selma_core.Run)
    assert [prompt.id for prompt in run.prompts("prompts").prompts] == [f"p-{i}" for i in range(5)]
    assert len(run.prompts("prompts").rejected) == 3
    items = run.images("images")
    assert [item.item_id for item in items] == [f"p-{i}-{k}" for i in range(5) for k in range(2)]
    assert len({item.seed for item in items}) == 10
    assert [row.item_id for row in run.scores("score").rows] == [item.item_id for item in items]
    assert run.summaries["score"]["light"].mean == run.result["scores"]["score"]["light"]["mean"]
    assert run.node("prompts").warnings == ("made 5",)
    best = run.images("best")
    assert [item.prompt.id for item in best] == [f"p-{i}" for i in range(5)]
    values = {row.item_id: row.atoms[0].value for row in run.scores("score").rows}
    assert all(values[item.item_id] >= values[f"{item.prompt.id}-{1 - item.k}"] for item in best)
    with pytest.raises(UnknownNameError, match="did you mean 'images'"):
        run.images("imags")
    with pytest.raises(UserError, match="prompts makes prompts, not images"):
        run.images("prompts")


def test_selma_core_run_is_the_function() -> None:
    from selma_core.engine import run

    assert selma_core.run is run
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = selma_core.nothing_such


def test_a_failed_stage_fells_only_its_readers(start: Start, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("FAKE_FAIL", "prompts:count")
    run = start("selma")
    outcomes = {node.id: node.outcome for node in run.nodes}
    failed = {"prompts[count]", "images[count]", "expert[count]", "merge"}
    failed |= {f"{label}[{value}]" for label in ("sample", "score") for value in ("expert_count", "merged")}
    assert {name for name, outcome in outcomes.items() if outcome == "failed"} == failed
    assert not run.ok
    assert run.node("prompts[count]").error == "prompts[count]: RuntimeError: count-0 is broken on purpose"
    assert run.node("score[merged]").error == "score[merged]: not run, because sample[merged] failed"
    assert list(run.result["scores"]) == ["base", "expert_general"]
    assert json.loads((folder / "store/runs" / run.run_id / "run.json").read_text())["state"] == "failed"
    with pytest.raises(StageError, match="count-0 is broken"):
        run.prompts("prompts[count]")
    monkeypatch.delenv("FAKE_FAIL")
    again = start("selma")
    assert again.ok
    assert {node.id for node in again.nodes if node.outcome == "ran"} == failed


def test_equal_stages_are_made_once(
    start: Start, session: Callable[..., Session], log: Callable[[], list[str]]
) -> None:
    twins = ["axes.variant.twin={sample: {from: {adapter: merge}}}"]
    planned = plan(session("selma", twins))
    assert (planned["sample[merged]"], planned["sample[twin]"], planned["score[twin]"]) == ("run", "shared", "shared")
    run = start("selma", twins)
    assert run.node("sample[twin]").outcome == "reused"
    assert run.node("sample[twin]").artifact == run.node("sample[merged]").artifact
    assert run.result["scores"]["twin"] == run.result["scores"]["merged"]
    assert len([line for line in log() if line.startswith("scores")]) == 4 * 12


def test_a_suspect_artifact_is_made_again(start: Start, session: Callable[..., Session], folder: Path) -> None:
    run = start("light")
    before = contents(folder / "store")
    (run.artifact("images") / "p-3-1.png").unlink()
    assert plan(session("light"))["images"] == "suspect"
    again = start("light")
    assert {node.id for node in again.nodes if node.outcome == "ran"} == {"images"}
    assert contents(folder / "store") == before


def test_events_come_in_order_to_caller_and_tracker(
    start: Start, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("FAKE_TRACK", str(folder / "track.txt"))
    events: list[Event] = []
    run = start("light", ["runtime.trackers.mine=fake_track"], on_event=events.append)
    kinds = [type(event).__name__ for event in events]
    assert (folder / "track.txt").read_text().split() == kinds
    assert isinstance(events[0], RunStarted)
    assert set(events[0].nodes.values()) == {"run"}
    assert isinstance(events[-1], RunFinished)
    assert events[-1].result == run.result
    for name in ("prompts", "images", "score", "best"):
        mine = [event for event in events if getattr(event, "node", None) == name and not isinstance(event, Scored)]
        assert isinstance(mine[0], StageStarted)
        assert isinstance(mine[-1], StageFinished)
        assert mine[-1].outcome == "ran"
    last = [event for event in events if isinstance(event, StageProgress) and event.node == "images"][-1]
    assert (last.done, last.total) == (10, 10)
    assert [event.message for event in events if isinstance(event, StageWarning)] == ["made 5"]


def test_a_broken_tracker_kills_no_run(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FAKE_TRACK_FAIL", "1")
    assert start("light", ["runtime.trackers.mine=fake_track"]).ok
    assert [record.getMessage() for record in caplog.records if "tracker" in record.getMessage()] == [
        "tracker 'mine' raised RuntimeError: tracker is broken; it is left out from here on"
    ]


def test_defect_15_a_run_works_from_any_folder(
    start: Start, folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    start("light", store="here")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    run = selma_core.run(os.path.relpath(folder / "light.yaml"), store=Path(os.path.relpath(folder / "there")))
    assert run.ok
    assert contents(folder / "here") == contents(folder / "there")


def test_defect_04_every_image_has_its_own_recorded_seed(start: Start, folder: Path) -> None:
    one = start("light", store="one")
    other = start("light", ["stages.images.options.batch_size=1", "stages.prompts.options.batch_size=4"], store="two")
    assert contents(folder / "one") == contents(folder / "two")
    assert len({item.seed for item in one.images("images")}) == len(one.images("images")) == 10
    assert [item.seed for item in other.images("images")] == [item.seed for item in one.images("images")]


def test_nothing_secret_is_stored(start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "hunter2-secret")
    start("light")
    for path in (folder / "store").rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes()


def test_an_interrupt_leaves_everything_resumable(start: Start, folder: Path, log: Callable[[], list[str]]) -> None:
    def stop(event: Any) -> None:
        if isinstance(event, StageProgress) and event.node == "images" and event.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start("light", on_event=stop)
    (record,) = (folder / "store" / "runs").glob("*/run.json")
    assert json.loads(record.read_text())["state"] == "interrupted"
    drawn = [line for line in log() if line.startswith("images")]
    assert start("light").ok
    left = [line for line in log() if line.startswith("images")]
    assert len(left) == 10 - len(drawn)
    start("light", store="straight")
    assert contents(folder / "store") == contents(folder / "straight")


def test_until_runs_only_what_a_stage_needs(start: Start, log: Callable[[], list[str]]) -> None:
    part = start("selma", until=["prompts"])
    assert part.ok
    assert {node.label for node in part.nodes} == {"prompts"}
    assert part.result["scores"] == {}
    assert part.result["comparisons"] == []
    whole = start("selma")
    assert {node.label for node in whole.nodes if node.outcome == "reused"} == {"prompts"}


def test_until_names_the_nearest_stage(start: Start) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'prompts'"):
        start("selma", until=["promts"])


def test_two_judges_of_one_metric_are_both_reported_with_their_agreement(
    start: Start,
) -> None:
    two = [
        "stages.second.kind=evaluator",
        "stages.second.use=fake_light",
        "stages.second.foreach=variant",
        "stages.second.from.images=sample",
        "stages.second.options.judge.use=fake_other_judge",
        "report.scores=[score, second]",
    ]
    result = start("selma", two).result
    assert {name: row["judge"] for name, row in result["scores"]["merged"].items()} == {
        "light": "fake_judge",
        "light:second": "fake_other_judge",
    }
    assert [row["metric"] for row in result["comparisons"]] == ["light", "light:second"] * 2
    (row,) = result["agreement"]
    assert (row["metric"], row["judges"]) == ("light", ["fake_judge", "fake_other_judge"])
    # Of the fake's two atoms only `one` is a yes/no answer: 12 images of each of 4 variants.
    assert (row["n"], row["equal"], row["kappa"]) == (48, 1.0, None)
    assert {name: found["n"] for name, found in row["by_variant"].items()} == dict.fromkeys(result["scores"], 12)
    assert "fake_judge and fake_other_judge" in Path(result["report"]).read_text()
    assert start("selma").result["agreement"] == []

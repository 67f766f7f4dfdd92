"""The tracker `mlflow` against the real library: what a run leaves in a local file store."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mlflow", reason="mlflow is not installed; type: pip install 'selma[mlflow]'")

from selma_plugins.trackers.mlflow_tracker import MlflowTracker
from selma_plugins.trackers.options import MlflowOptions

from selma_core.ablation import ablate
from selma_core.result import Run
from selma_core.testing import check_tracker

Start = Callable[..., Run]


def client_of(folder: Path) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=folder.absolute().as_uri())


def runs_of(folder: Path, experiment: str) -> list[Any]:
    client = client_of(folder)
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id]))


def test_conformance(tmp_path: Path) -> None:
    check_tracker(MlflowTracker, MlflowOptions(folder=str(tmp_path)))


def test_a_run_can_be_read_back(start: Start, folder: Path) -> None:
    done = start("mlflow", "seed=3")
    place = folder / "store" / "trackers" / "mlflow"
    (run,) = runs_of(place, "selma")
    assert run.info.run_name == done.run_id
    assert run.info.status == "FINISHED"
    tags, params, metrics = run.data.tags, run.data.params, run.data.metrics
    assert (tags["selma.run"], tags["selma.recipe"], tags["selma.seed"]) == (done.run_id, "selma", "3")
    assert tags["selma.version"]
    assert params["stages.merge.use"] == "fake_merge"
    assert params["stages.score.options.judge.options.api_key_env"] == "KEY"
    for node in done.nodes:
        name = node.id.replace("[", "/").replace("]", "")
        assert tags[f"stage/{name}"] == node.outcome == "ran"
        assert tags[f"fingerprint/{name}"] == node.fingerprint
        assert metrics[f"seconds/{name}"] == pytest.approx(node.seconds, abs=1e-3)
    for variant, found in done.result["scores"].items():
        score = found["light"]
        for key in ("mean", "low", "high", "n_prompts"):
            assert metrics[f"scores/{variant}/light/{key}"] == score[key]
    assert metrics["comparisons/merged vs base/light/p_holm"] == done.result["comparisons"][0]["p_holm"]
    steps = client_of(place).get_metric_history(run.info.run_id, "expert/count/loss")
    curve = [json.loads(line) for line in (done.artifact("expert[count]") / "curve.jsonl").read_text().splitlines()]
    assert [(one.step, one.value) for one in steps] == [(row["step"], row["loss"]) for row in curve]

    warnings = Path(run.info.artifact_uri.removeprefix("file://")) / "warnings.txt"
    assert "bench: made 6" in warnings.read_text().splitlines()

    # a second one that reuses every stage has the same numbers, and its files where the options say
    again = start(f"{{use: mlflow, options: {{folder: {folder / 'mine'}, experiment: named}}}}", "seed=3")
    assert {node.outcome for node in again.nodes} == {"reused"}
    (run,) = runs_of(folder / "mine", "named")
    assert "expert/general/loss" in run.data.metrics
    files = Path(run.info.artifact_uri.removeprefix("file://"))
    assert {path.name for path in files.iterdir()} == {"report.html", "result.json", "scores.csv"}
    assert json.loads((files / "result.json").read_text())["scores"] == done.result["scores"]
    rows = list(csv.DictReader((files / "scores.csv").open()))
    assert [(row["variant"], float(row["mean"])) for row in rows] == [
        (variant, found["light"]["mean"]) for variant, found in done.result["scores"].items()
    ]


def test_a_failed_run_says_so(start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAIL", "scores")
    assert not start("mlflow", recipe="light").ok
    (run,) = runs_of(folder / "store" / "trackers" / "mlflow", "light")
    assert run.info.status == "FAILED"
    assert (run.data.tags["stage/images"], run.data.tags["stage/score"]) == ("ran", "failed")
    assert "on purpose" in run.data.tags["error/score"]
    assert not [name for name in run.data.metrics if name.startswith("scores/")]


def test_an_ablation_is_a_run_with_one_below_it_per_variant(folder: Path) -> None:
    place = folder / "mine"
    slot = f"runtime.trackers.t={{use: mlflow, options: {{folder: {place}}}}}"
    done = ablate(folder / "two.yaml", [slot], store=folder / "store")
    runs = {run.info.run_name: run for run in runs_of(place, "two")}
    assert set(runs) == {done.run_id, "one", "half"}
    parent = runs[done.run_id]
    for variant in ("one", "half"):
        child, mean = runs[variant], done.result["scores"][variant]["light"]["mean"]
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.tags["stage/merge"] == "ran"
        assert child.data.metrics["scores/light/mean"] == mean
        assert parent.data.metrics[f"scores/{variant}/light/mean"] == mean
    outcomes = {name: runs[name].data.tags["stage/expert/count"] for name in ("one", "half")}
    assert sorted(outcomes.values()) == ["ran", "reused"], outcomes
    assert "expert/count/loss" in runs["one"].data.metrics
    assert "expert/count/loss" not in runs["half"].data.metrics  # the same training, shown once


def test_a_store_that_cannot_be_written_ends_no_run(
    start: Start, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "file").write_text("no folder")
    assert start(f"{{use: mlflow, options: {{folder: {folder / 'file'}}}}}", recipe="light").ok
    lines = [record.getMessage() for record in caplog.records if "tracker" in record.getMessage()]
    assert len(lines) == 1
    assert lines[0].startswith("tracker 't' raised")

"""The tracker `wandb` against the real library, offline: what it writes to its own `.wandb` file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("wandb", reason="wandb is not installed; type: pip install 'selma[wandb]'")

from selma_plugins.trackers.options import WandbOptions
from selma_plugins.trackers.wandb_tracker import WandbTracker

from selma_core.ablation import ablate
from selma_core.catalog import Catalog
from selma_core.errors import UserError
from selma_core.result import Run
from selma_core.testing import check_tracker

Start = Callable[..., Run]
_BLOCK = 32768


def chunks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, bytes) of a file in LevelDB's log format, after W&B's header of 7 bytes: crc (4), length (2), type (1)."""
    at = 7
    while at + 7 <= len(data):
        if _BLOCK - at % _BLOCK < 7:
            at += _BLOCK - at % _BLOCK
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        yield kind, data[at + 7 : at + 7 + size]
        at += 7 + size


def records(path: Path) -> list[Any]:
    """The protocol's own records, whole (type 1) or in parts (2, 3, 4)."""
    from wandb.proto.wandb_internal_pb2 import Record

    found, part = [], b""
    for kind, data in chunks(path.read_bytes()):
        part += data
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(part)
            found.append(record)
            part = b""
    return found


class Told:
    """What a `.wandb` file tells."""

    def __init__(self, path: Path) -> None:
        self.records = records(path)
        (self.run,) = [one.run for one in self.records if one.WhichOneof("record_type") == "run"][:1]
        self.config = {item.key: json.loads(item.value_json) for item in self.run.config.update}
        self.summary: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        for one in self.records:
            if one.WhichOneof("record_type") == "summary":
                self.summary |= {_name(item): json.loads(item.value_json) for item in one.summary.update}
            elif one.WhichOneof("record_type") == "history":
                self.history.append({_name(item): json.loads(item.value_json) for item in one.history.item})

    @property
    def ended(self) -> int:
        """The exit code."""
        return int([one.exit.exit_code for one in self.records if one.WhichOneof("record_type") == "exit"][-1])


def _name(item: Any) -> str:
    return item.key or ".".join(item.nested_key)


def told(folder: Path) -> list[Told]:
    """All runs below a folder."""
    import wandb

    wandb.teardown()  # its service process writes on after the end of a run
    return [Told(path) for path in folder.glob("wandb/offline-run-*/run-*.wandb")]


def test_conformance(tmp_path: Path) -> None:
    check_tracker(WandbTracker, WandbOptions(folder=str(tmp_path)))


def test_a_run_can_be_read_back(start: Start, folder: Path) -> None:
    done = start("wandb", "seed=3")
    (run,) = told(folder / "store" / "trackers")
    assert (run.run.display_name, run.run.project, run.run.job_type, run.ended) == (done.run_id, "selma", "run", 0)
    assert run.config["stages.merge.use"] == "fake_merge"
    assert run.summary["selma.seed"] == "3"
    for node in done.nodes:
        name = node.id.replace("[", "/").replace("]", "")
        assert run.summary[f"stage/{name}"] == "ran"
        assert run.summary[f"fingerprint/{name}"] == node.fingerprint
        assert run.summary[f"seconds/{name}"] == pytest.approx(node.seconds, abs=1e-3)
    for variant, found in done.result["scores"].items():
        for key in ("mean", "low", "high"):
            assert run.summary[f"scores/{variant}/light/{key}"] == pytest.approx(found["light"][key])
    curve = [json.loads(line) for line in (done.artifact("expert[count]") / "curve.jsonl").read_text().splitlines()]
    seen = [row for row in run.history if "expert/count/loss" in row]
    assert [(row["expert/count/step"], row["expert/count/loss"]) for row in seen] == [
        (row["step"], row["loss"]) for row in curve
    ]
    names = {path.name for path in folder.glob("store/trackers/wandb/offline-run-*/files/**/*")}
    assert {"result.json", "warnings.txt"} <= names
    assert any(name.startswith("scores_") for name in names)
    assert any(name.startswith("report_") and name.endswith(".html") for name in names)
    # nothing of the machine, the code or its surroundings
    assert not names & {"requirements.txt", "wandb-metadata.json", "output.log"}
    assert "stats" not in {one.WhichOneof("record_type") for one in run.records}
    assert not run.run.git.remote_url
    assert os.environ["WANDB_ERROR_REPORTING"] == "false"


def test_an_ablation_is_a_group(folder: Path) -> None:
    slot = f"runtime.trackers.t={{use: wandb, options: {{folder: {folder}, project: mine}}}}"
    done = ablate(folder / "two.yaml", [slot], store=folder / "store")
    runs = {run.run.display_name: run for run in told(folder)}
    assert set(runs) == {done.run_id, "one", "half"}
    assert {run.run.run_group for run in runs.values()} == {done.run_id}
    assert {run.run.project for run in runs.values()} == {"mine"}
    assert [runs[name].run.job_type for name in (done.run_id, "one", "half")] == ["ablation", "variant", "variant"]
    for variant in ("one", "half"):
        mean = done.result["scores"][variant]["light"]["mean"]
        assert runs[variant].summary["scores/light/mean"] == pytest.approx(mean)
        assert runs[done.run_id].summary[f"scores/{variant}/light/mean"] == pytest.approx(mean)


def test_online_without_a_key_is_refused_before_the_run(
    start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(folder / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(folder))
    monkeypatch.setenv("HOME", str(folder))
    with pytest.raises(UserError, match="type: wandb login"):
        start("{use: wandb, options: {mode: online}}", recipe="light")
    assert not (folder / "store" / "artifacts").exists()


def test_the_listing_needs_no_library() -> None:
    offers = {offer.name: offer.record.requires for offer in Catalog.discover().offers("tracker")}
    assert {name: offers[name] for name in ("mlflow", "wandb")} == {"mlflow": "mlflow", "wandb": "wandb"}

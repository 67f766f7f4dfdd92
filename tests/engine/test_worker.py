"""`python -m selma_core.worker`: a job file in, JSON lines out; a job that means something else here is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selma_core.errors import StageError
from selma_core.session import Session
from selma_core.stages.jobs import Job
from selma_core.store import Store
from selma_core.walk import make_job


@pytest.fixture
def job(session: Callable[..., Session]) -> Job:
    """The job of the first stage."""
    opened = session("light")
    return make_job(opened.graph["prompts"], opened)


def work(path: Path, data: dict[str, Any]) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, events, stderr of a worker on one job."""
    path.write_text(json.dumps(data))
    command = [sys.executable, "-m", "selma_core.worker", str(path)]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_a_job_is_plain_json_and_comes_back(job: Job) -> None:
    data = json.loads(json.dumps(job.to_json()))
    assert Job.from_json(data) == job
    with pytest.raises(StageError, match="another version"):
        Job.from_json({**data, "schema": 0})
    with pytest.raises(StageError, match="is no job"):
        Job.from_json({**data, "colour": 1})


def test_it_runs_a_job_and_then_finds_it_stored(job: Job, folder: Path) -> None:
    code, events, _ = work(folder / "job.json", job.to_json())
    assert code == 0
    assert [event["event"] for event in events] == ["warning", "receipt"]
    assert (events[-1]["outcome"], events[-1]["fingerprint"]) == ("ran", job.fingerprint)
    assert Store(job.store).has(job.fingerprint)
    code, events, _ = work(folder / "job.json", job.to_json())
    assert (code, events[-1]["outcome"]) == (0, "reused")


def test_prints_of_plugins_do_not_disturb_the_protocol(session: Callable[..., Session], folder: Path) -> None:
    (folder / "fakes.py").open("a").write("\nprint('imported'); os.system('echo from a child')\n")
    opened = session("light")
    job = make_job(opened.graph["prompts"], opened)
    code, events, errors = work(folder / "job.json", job.to_json())
    assert (code, events[-1]["outcome"]) == (0, "ran")
    assert "imported" in errors
    assert "from a child" in errors


@pytest.mark.parametrize("change", [{"seed": 7}, {"options": {"n": 3}}, {"inputs": {"prompts": ["a" * 64]}}])
def test_a_fingerprint_that_differs_is_refused(job: Job, folder: Path, change: dict[str, Any]) -> None:
    code, events, _ = work(folder / "job.json", {**job.to_json(), **change})
    assert (code, events[-1]["outcome"]) == (1, "failed")
    assert events[-1]["error"].startswith("prompts: the fingerprint that this worker computes differs from the plan's")
    assert not Store(job.store).fingerprints()


def test_a_plugin_that_changed_since_the_plan_is_refused(job: Job, folder: Path) -> None:
    (folder / "fakes.py").open("a").write("\n# changed\n")
    code, events, _ = work(folder / "job.json", job.to_json())
    assert code == 1
    assert "differs from the plan's" in events[-1]["error"]


def test_a_missing_input_is_named(session: Callable[..., Session], folder: Path) -> None:
    opened = session("light")
    job = make_job(opened.graph["images"], opened)
    code, events, _ = work(folder / "job.json", job.to_json())
    assert code == 1
    assert events[-1]["error"].startswith("images: an input is not in the store: ")


def test_wrong_calls(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "selma_core.worker"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: python -m selma_core.worker JOB.json")
    (folder / "bad.json").write_text("{")
    command = [sys.executable, "-m", "selma_core.worker", str(folder / "bad.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "bad.json: is no job" in json.loads(done.stdout)["error"]


def test_torch_gets_the_run_s_thread_count_and_the_host_its_own_back(
    session: Callable[..., Session], folder: Path
) -> None:
    torch = pytest.importorskip("torch")
    from selma_core.worker import run_job

    lines = "\nimport torch\n_ask = Prompts.prompts\ndef _tell(self, job):\n"
    lines += "    job.context.warn(f'threads {torch.get_num_threads()} on {job.context.device}')\n"
    lines += "    yield from _ask(self, job)\nPrompts.prompts = _tell\n"
    (folder / "fakes.py").open("a").write(lines)
    opened = session("light", ["runtime.threads=2", "runtime.device=cpu"])
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    events: list[Any] = []
    receipt = run_job(make_job(opened.graph["prompts"], opened).to_json(), events.append)
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert receipt.outcome == "ran", receipt.error
    assert "threads 2 on cpu" in [event.get("message") for event in events]
    assert after == 1

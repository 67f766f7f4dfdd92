"""The executor `process`, and two runs at once on one store."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from selma_core.result import Run
from tests.engine.kit import contents

Start = Callable[..., Run]
POOL = ["runtime.executor={use: process, options: {workers: 2}}"]


@pytest.mark.parametrize(
    ("recipe", "line"),
    [("light", "made 5"), pytest.param("selma", "made 4", marks=pytest.mark.slow)],  # torch is imported three times
)
def test_processes_give_what_inline_gives(start: Start, folder: Path, recipe: str, line: str) -> None:
    start(recipe, store="inline")
    events: list[object] = []
    run = start(recipe, POOL, store="pool", on_event=events.append)
    assert run.ok
    assert contents(folder / "pool") == contents(folder / "inline")
    assert line in [getattr(event, "message", "") for event in events]


def test_workers_are_reused_and_work_side_by_side(start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_LOG", str(folder / "log.txt"))
    monkeypatch.setenv("FAKE_SLEEP", "0.05")
    axes = ["axes.skill=[a, b, c, d]", "stages.prompts.foreach=skill", "stages.images.foreach=skill"]
    assert start("light", [*POOL, *axes, "stages.prompts.options.skill={skill}"]).ok
    workers = [line.split()[-1] for line in (folder / "log.txt").read_text().splitlines()]
    assert len(set(workers)) == 2
    assert str(os.getpid()) not in workers
    switches = sum(one != other for one, other in pairwise(workers))
    assert switches > 2  # they took turns


def test_a_worker_that_is_killed_fails_its_stage_with_a_line(
    start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STOP", "images:4")
    run = start("light", POOL)
    error = run.node("images").error
    assert error is not None
    assert "images: the worker process was killed by SIGKILL (the usual reason is too little memory)" in error
    assert [node.outcome for node in run.nodes] == ["ran", "failed", "failed", "failed"]
    monkeypatch.delenv("FAKE_STOP")
    assert start("light", POOL).ok
    start("light", store="straight")
    assert contents(folder / "store") == contents(folder / "straight")


def test_a_failure_in_a_worker_has_its_traceback(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAIL", "images")
    run = start("light", POOL)
    assert run.node("images").error == "images: RuntimeError: p-0-0.png is broken on purpose"


def test_no_worker_outlives_its_parent(folder: Path) -> None:
    code = (
        "import os, sys, selma_core; from pathlib import Path\n"
        "selma_core.run(Path(sys.argv[1]), sys.argv[3:], store=Path(sys.argv[2]))"
    )
    log = folder / "log.txt"
    environment = {**os.environ, "FAKE_LOG": str(log), "FAKE_SLEEP": "0.3"}
    command = [sys.executable, "-c", code, str(folder / "light.yaml"), str(folder / "store"), *POOL]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        wait_for(log.exists)
        process.kill()
    worker = int(log.read_text().split()[2])
    wait_for(lambda: not alive(worker))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_two_runs_at_once_share_the_work(start: Start, folder: Path) -> None:
    code = (
        "import sys, json, selma_core; from pathlib import Path\n"
        "run = selma_core.run(Path(sys.argv[1]), store=Path(sys.argv[2]))\n"
        "print(json.dumps([node.outcome for node in run.nodes]))"
    )
    log = folder / "log.txt"
    environment = {**os.environ, "FAKE_LOG": str(log), "FAKE_SLEEP": "0.1"}
    command = [sys.executable, "-c", code, str(folder / "light.yaml"), str(folder / "store")]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    for process in both:
        assert process.stdout is not None
        process.stdout.close()
    work = [line.rsplit(" ", 1)[0] for line in log.read_text().splitlines()]
    assert len(work) == len(set(work)) == 3 + 10 + 10  # every piece once, by one or the other
    start("light", store="straight")
    assert contents(folder / "store") == contents(folder / "straight")

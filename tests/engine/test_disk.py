"""A full disk: one line that names the place, and nothing that was finished is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from selma_core.errors import StoreError
from selma_core.result import Run
from selma_core.store import Store
from tests.engine.kit import contents
from tests.full_disk import fill_disk

Start = Callable[..., Run]


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Makes the n-th file of a certain name end unwritable."""
    return lambda ending, number: fill_disk(monkeypatch, ending, number)


@pytest.mark.parametrize(
    ("ending", "number", "stage"),
    [
        (".png.part", 5, "images"),
        ("drawn.jsonl", 1, "images"),
        ("metadata.jsonl.part", 1, "images"),
        ("batches.jsonl", 1, "prompts"),
        ("observed.jsonl", 1, "score"),
        ("manifest.json.part", 2, "images"),
    ],
)
def test_a_full_disk_fails_the_stage_and_the_next_run_goes_on(
    start: Start,
    folder: Path,
    fill: Callable[[str, int], None],
    monkeypatch: pytest.MonkeyPatch,
    log: Callable[[], list[str]],
    ending: str,
    number: int,
    stage: str,
) -> None:
    start("light", store="straight")
    whole = log()
    fill(ending, number)
    run = start("light")
    error = run.node(stage).error
    assert error is not None
    assert error.startswith(f"{stage}: cannot write {folder / 'store'}")
    assert error.endswith(": the disk is full; free some space and run again")
    monkeypatch.undo()
    monkeypatch.setenv("SELMA_PLUGINS", "execution")
    monkeypatch.setenv("FAKE_LOG", str(folder / "log.txt"))
    done = log()
    assert start("light").ok
    again = len(done) + len(log()) - len(whole)
    assert again <= 6  # what was written before the disk was full is not made again
    assert contents(folder / "store") == contents(folder / "straight")
    assert Store(folder / "store").unfinished() == []


def test_a_full_disk_at_the_very_start_is_a_store_error(start: Start, fill: Callable[[str, int], None]) -> None:
    fill("run.json.part", 1)
    with pytest.raises(StoreError, match=r"cannot write .*run\.json.*: the disk is full"):
        start("light")


def test_a_real_limit_on_file_size(start: Start, folder: Path) -> None:
    many = "stages.prompts.options.n=600"
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
        "from selma_core.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "run",
        str(folder / "light.yaml"),
        "-o",
        many,
        "--store",
        str(folder / "store"),
    ]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "batches.jsonl: the file is over the size limit of this machine (ulimit -f)" in done.stderr
    assert "Traceback" not in done.stderr
    override = [many, "stages.images.options.k=1", "stages.score.from.images=images"]
    (work,) = Store(folder / "store").unfinished()
    kept = (Store(folder / "store").work(work) / "scratch" / "batches.jsonl").read_bytes()
    assert kept.count(b"\n") > 50
    run = start("light", override)
    assert run.ok
    start("light", override, store="straight")
    assert contents(folder / "store") == contents(folder / "straight")

"""The merging benchmark runs from end to end; here on layers too small for its ratios to mean anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def lines(root: Path, tasks: str) -> dict[str, str]:
    script = [sys.executable, str(root / "benchmarks" / "merging.py")]
    options = ["--quick", "--models", "tiny", "--ranks", "4", "--repeat", "1", "--tasks", tasks]
    done = subprocess.run([*script, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {line[13:26].strip(): line for line in done.stdout.splitlines()[1:]}


def test_times_and_figures(root: Path) -> None:
    found = lines(root, "svd,ties,ties_kernel,tsv,knots,reweighted,files")
    assert set(found) == {"svd", "ties", "ties_kernel", "tsv", "knots", "reweighted", "linear", "cat"}
    assert "error/optimal ok" in found["svd"]
    assert "difference ok" in found["tsv"]
    assert "difference ok" in found["knots"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc")
def test_memory(root: Path) -> None:
    assert "peft, call" in lines(root, "memory")["memory, svd"]

"""The peak memory of each stage, in its manifest."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from selma_core.result import Run
from selma_core.stages import memory
from selma_core.stages.memory import PeakMemory
from selma_core.store.manifest import read_manifest

BLOCK = 200 << 20
GREEDY = f"""
_lean = Prompts.prompts
def _greedy(self, job):
    block = bytearray({BLOCK})
    block[::4096] = bytes(1) * len(block[::4096])
    del block
    return _lean(self, job)
Prompts.prompts = _greedy
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's high-water mark can be set back on Linux only")
def test_each_stage_has_its_own_peak(start: Callable[..., Run], folder: Path) -> None:
    with (folder / "fakes.py").open("a") as file:
        file.write(GREEDY)
    run = start("light")
    peaks = {node.label: read_manifest(run.artifact(node.id)).peak_memory["rss"] for node in run.nodes}
    assert peaks["prompts"] > BLOCK
    assert peaks["images"] < peaks["prompts"] - BLOCK // 2


def test_without_a_high_water_mark_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "_PROC", tmp_path / "no" / "proc")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert PeakMemory().read() == {}


def test_a_gpu_counts_from_the_start_of_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cuda:
        peak = 900

        def is_initialized(self) -> bool:
            return True

        def reset_peak_memory_stats(self) -> None:
            self.peak = 0

        def max_memory_allocated(self) -> int:
            return self.peak

    cuda = Cuda()
    monkeypatch.setitem(sys.modules, "torch", type(sys)("torch"))
    monkeypatch.setattr(sys.modules["torch"], "cuda", cuda, raising=False)
    measured = PeakMemory()
    assert "cuda" not in measured.read()
    cuda.peak = 700
    assert measured.read()["cuda"] == 700

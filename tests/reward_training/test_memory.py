"""Memory of a training step grows with the trained steps K and not with the denoising steps N."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def measure(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    import reward_memory

    yield reward_memory.measure
    sys.modules.pop("reward_memory")


def test_memory_grows_with_k_and_not_with_n(measure: Any) -> None:
    few, many = measure(4, 2, "drtune", save=False), measure(12, 2, "drtune", save=False)
    assert few == pytest.approx(many, rel=1e-3)
    one, four = (measure(4, k, "drtune", save=False) for k in (1, 4))
    assert four[0] == pytest.approx(4 * one[0], rel=0.02)
    assert four[1] > 2 * one[1]


def test_checkpointing_keeps_what_the_steps_were_given(measure: Any) -> None:
    for method in ("drtune", "draft_k"):
        saved, kept = measure(4, 4, method), measure(4, 4, method, save=False)
        assert saved[0] < 0.05 * kept[0]
        assert saved[1] < 0.5 * kept[1]
        assert measure(8, 4, method) == pytest.approx(measure(12, 4, method), rel=0.01)

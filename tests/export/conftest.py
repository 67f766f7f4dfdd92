"""A result as `selma ablate --json` prints it, small enough to read."""

from __future__ import annotations

from typing import Any

import pytest


def score(mean: float | None, **more: Any) -> dict[str, Any]:
    """A score entry around a mean."""
    ends = {"low": None, "high": None} if mean is None else {"low": mean - 2.0, "high": mean + 2.0}
    counts = {"n_prompts": 100, "n_images": 200, "expected_images": 200}
    return {"mean": mean, **ends, **counts, "rule": "official", "judge": "judge_1", "coverage": 1.0, **more}


def compared(variant: str, difference: float, p_holm: float, **more: Any) -> dict[str, Any]:
    """A comparison with `base`."""
    numbers = {"difference": difference, "low": difference - 1.0, "high": difference + 1.0, "p": p_holm / 2}
    row = {"variant": variant, "baseline": "base", "metric": "dsg", "higher_is_better": True}
    return {**row, **numbers, "p_holm": p_holm, "n": 100, **more}


@pytest.fixture
def result() -> dict[str, Any]:
    """Three variants; the best is significantly better than the baseline."""
    scores = {
        "base": {"dsg": score(40.04)},
        "merge=ties_1": {"dsg": score(61.26, n_images=199, coverage=0.995)},
        "svd": {"dsg": score(55.0)},
    }
    found = [compared("merge=ties_1", 21.22, 0.0002), compared("svd", -0.04, 0.5)]
    return {"run": "R1", "ablation": "merges", "baseline": "base", "scores": scores, "comparisons": found}

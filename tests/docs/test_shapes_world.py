"""The page on the shapes world states what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from selma_plugins.shapes import corruption, scene

SHARES = {
    "two colours swapped": corruption.SWAPPED_COLORS,
    "relation reversed": corruption.REVERSED_RELATION,
    "count off by one": corruption.WRONG_COUNT,
    "an object that is not there": corruption.MISSING_OBJECT,
    "a similar shape": corruption.WRONG_SHAPE,
    "two sizes swapped": corruption.SWAPPED_SIZES,
    "another background": corruption.WRONG_BACKGROUND,
}


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return " ".join((root / "docs/explanation/shapes_world.md").read_text().split())


def test_the_shares_of_wrong_captions_are_those_of_the_code(page: str) -> None:
    stated = {name: float(share) for name, share in re.findall(r"\| ([a-z ]+) \| ([\d.]+) % \|", page)}
    assert stated == {name: pytest.approx(100 * share) for name, share in SHARES.items()}


def test_the_world_is_the_one_described(page: str) -> None:
    assert f"({', '.join(scene.SHAPES)})" in page
    assert len(scene.SHAPES) == 6
    assert len(scene.COLORS) == 8
    assert len(scene.RARE_PAIRS) == 10
    assert scene.MAX_OBJECTS == 4
    assert pytest.approx(1 / 5) == scene.RARE_SHARE

"""The table of defects and the tests that prove them agree, number by number."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

NUMBERS = range(1, 16)


@pytest.fixture(scope="module")
def proofs(root: Path) -> dict[int, set[str]]:
    """Defect -> test files with a collected function `test_defect_NN_...`."""
    found = defaultdict(set)
    for path in sorted((root / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            named = re.match(r"test_defect_(\d\d)_", node.name) if isinstance(node, ast.FunctionDef) else None
            if named:
                found[int(named[1])].add(path.relative_to(root).as_posix())
    return found


@pytest.mark.parametrize("number", NUMBERS)
def test_every_defect_has_a_test(proofs: dict[int, set[str]], number: int) -> None:
    assert proofs[number]


def test_no_test_names_a_defect_that_does_not_exist(proofs: dict[int, set[str]]) -> None:
    assert set(proofs) <= set(NUMBERS)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_page_names_the_tests_of_every_defect(root: Path, proofs: dict[int, set[str]], number: int) -> None:
    page = (root / "docs/explanation/defects.md").read_text()
    (row,) = re.findall(rf"^\| {number} \|.*$", page, flags=re.MULTILINE)
    assert set(re.findall(r"`(tests/[\w/.-]+\.py)`", row)) == proofs[number]

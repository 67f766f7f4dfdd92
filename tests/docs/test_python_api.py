"""The page on the Python API names every function, and its blocks run as written."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import selma_core

PAGE = "docs/reference/python_api.md"
FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', flags=re.MULTILINE | re.DOTALL)


def blocks(root: Path, language: str) -> list[tuple[str, str]]:
    """(title or "", body) of the page's blocks of a language."""
    return [(title, body) for kind, title, body in FENCE.findall((root / PAGE).read_text()) if kind == language]


def test_every_public_name_is_on_the_page(root: Path) -> None:
    text = (root / PAGE).read_text()
    missing = [name for name in selma_core.__all__ if f"`{name}`" not in text]
    assert missing == ["hookimpl"]  # for plugins, see plugin_api.md


def test_every_name_that_the_blocks_use_exists(root: Path) -> None:
    code = ast.parse("".join(body for _, body in blocks(root, "python")))
    used = {
        node.attr
        for node in ast.walk(code)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "selma_core"
    }
    assert used == {"run", "plan", "why", "ablate", "evaluate", "generate", "merge", "table"}
    assert used <= set(selma_core.__all__)


@pytest.mark.slow
def test_the_page_works_as_written(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SELMA_STORE", raising=False)
    for title, body in blocks(root, "yaml"):
        (tmp_path / title).write_text(body)
    names: dict[str, object] = {}
    for position, (_, body) in enumerate(blocks(root, "python")):
        exec(compile(body, f"{PAGE} block {position}", "exec"), names)
    assert (tmp_path / "circles.png").is_file()

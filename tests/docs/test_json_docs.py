"""The JSON page shows the keys that the commands really print."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selma_core.cli.app import run_app

Call = Callable[..., Any]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Runs a command line and returns the JSON on its stdout."""

    def run(*tokens: str) -> Any:
        capsys.readouterr()
        assert run_app(tokens) == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def example(root: Path) -> Callable[[str], Any]:
    def read(heading: str) -> Any:
        page = (root / "docs/reference/json.md").read_text()
        found = re.search(rf"^## {heading}\n+```json\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
        assert found, heading
        return json.loads(found[1])

    return read


def test_plan(call: Call, example: Call, tmp_path: Path) -> None:
    printed, shown = call("plan", "selma_sd14", "--store", str(tmp_path), "--json"), example("selma plan")
    assert printed.keys() == shown.keys()
    assert {tuple(row) for row in printed["stages"]} == {tuple(shown["stages"][0])}


def test_models_show(call: Call, example: Call) -> None:
    assert list(call("models", "show", "sd14", "--json")) == list(example("selma models show"))


def test_plugins_list(call: Call, example: Call, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import a_package_that_is_not_there\n")
    printed, shown = call("plugins", "list", "--json", "--plugin", str(broken)), example("selma plugins list")
    for key in ("plugins", "problems"):
        assert list(printed[key][0]) == list(shown[key][0])
    assert printed.keys() == shown.keys()


def test_plugins_show(call: Call, example: Call) -> None:
    printed, shown = call("plugins", "show", "evaluator/dsg", "--json"), example("selma plugins show")
    assert list(printed) == list(shown)
    assert list(printed["options"][0]) == list(shown["options"][0])

"""The tutorial is executed: its files are written, its commands run in order, their output is compared."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', flags=re.MULTILINE | re.DOTALL)


@attrs.frozen
class Step:
    """A file to write (`name` and `text`), or a command (`text`) with its expected output (`wanted`)."""

    text: str
    name: str = ""
    wanted: str = ""


def steps(page: Path) -> Iterator[Step]:
    for language, name, body in FENCE.findall(page.read_text()):
        if name:
            yield Step(body, name=name)
        elif language == "console":
            parts = re.split(r"^\$ (.*)\n", body, flags=re.MULTILINE)
            yield from (Step(command, wanted=wanted) for command, wanted in zip(parts[1::2], parts[2::2], strict=True))


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    environment.pop("SELMA_STORE", None)
    command = f"({command}) 2>&1"
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def matches(wanted: str, got: str) -> bool:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return not wanted.strip() or doctest.OutputChecker().check_output(wanted, got, flags)


@pytest.mark.slow
def test_the_tutorial_works_as_written(root: Path, tmp_path: Path) -> None:
    done = list(steps(root / "docs/tutorials/first_merge_strategy.md"))
    assert [step.name for step in done if step.name] == ["equal_voice.py", "quick.yaml", "test_equal_voice.py"]
    for step in done:
        if step.name:
            (tmp_path / step.name).write_text(step.text)
            continue
        result = shell(step.text, tmp_path)
        assert result.returncode == 0, f"{step.text}\n{result.stdout}"
        assert matches(step.wanted, result.stdout), f"{step.text}\nwanted:\n{step.wanted}\ngot:\n{result.stdout}"


def test_the_strategy_has_the_promised_length(root: Path) -> None:
    (plugin,) = [
        step for step in steps(root / "docs/tutorials/first_merge_strategy.md") if step.name == "equal_voice.py"
    ]
    code = [line for line in plugin.text.splitlines() if line.strip()]
    assert len(code) <= 36


def test_the_comparison_of_outputs_can_fail() -> None:
    assert matches("...\nrun ... merge ...\n", "stage\nrun   x  merge equal\n")
    assert not matches("...\nrun ... merge ...\n", "stage\nhit   x  merge equal\n")

"""The folders `plugins/` and `registry/` are no packages: the linter refuses imports of their bare names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def banned(root: Path, code: str) -> bool:
    command = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--stdin-filename", "selma_core/x.py", "-"]
    done = subprocess.run(command, input=code, capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode == 1


@pytest.mark.parametrize(
    "code",
    [
        "import plugins",
        "import registry",
        "from plugins import selma_plugins",
        "from plugins.selma_plugins import merging",
        "from registry.selma_registry import models",
    ],
)
def test_bare_folder_names_are_refused(root: Path, code: str) -> None:
    assert banned(root, code)


@pytest.mark.parametrize("code", ["import selma_plugins", "import selma_registry", "from selma_core import registry"])
def test_real_names_pass(root: Path, code: str) -> None:
    assert not banned(root, code)

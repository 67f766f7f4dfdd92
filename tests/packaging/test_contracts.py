"""Who may import whom: the contracts hold, cover every module of the core, and do break on a forbidden import."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

# What plugin authors may import from `selma_core`; everything else is the core's own business.
PUBLIC = {
    "artifacts",
    "averages",
    "data",
    "errors",
    "events",
    "files",
    "hookspecs",
    "kinds",
    "merging",
    "options",
    "pool",
    "protocols",
    "records",
    "redaction",
    "rewards",
    "seeds",
    "testing",
}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    places = [str(folder), str(folder / "plugins"), str(folder / "registry")]
    start = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    code = f"import sys; sys.path[:0] = {places!r}; {start}"
    command = [sys.executable, "-c", code, "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """A copy of the sources alone, to plant a forbidden import in."""
    ignore = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.png", "*.csv")
    for folder in ("selma_core", "plugins", "registry"):
        shutil.copytree(root / folder, tmp_path / folder, ignore=ignore)
    shutil.copy(root / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_hold(root: Path) -> None:
    done = lint_imports(root)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("selma_core/planted.py", "import selma_plugins.merging"),
        ("selma_core/planted.py", "import selma_registry"),
        ("plugins/selma_plugins/planted.py", "from selma_core.store import *"),
        ("plugins/selma_plugins/planted.py", "import selma_registry"),
        ("registry/selma_registry/planted.py", "import selma_core.errors"),
        ("plugins/selma_plugins/merging/options.py", "import torch"),
    ],
)
def test_a_forbidden_import_breaks_them(copy: Path, file: str, line: str) -> None:
    target = copy / file
    target.write_text((target.read_text() if target.exists() else '"""Planted."""\n') + f"\n{line}\n")
    done = lint_imports(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout


def test_every_module_of_the_core_is_public_or_protected(root: Path) -> None:
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = [c for c in settings["contracts"] if c["type"] == "protected"]
    protected = {name.removeprefix("selma_core.") for name in contract["protected_modules"]}
    there = {path.stem for path in (root / "selma_core").glob("*.py") if path.stem != "__init__"}
    there |= {path.parent.name for path in (root / "selma_core").glob("*/__init__.py")}
    assert there == PUBLIC | protected
    assert not PUBLIC & protected

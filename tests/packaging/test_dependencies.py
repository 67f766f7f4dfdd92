"""Every dependency is used, every import is declared, and every one of them is explained."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from selma_core.catalog import Catalog

OURS = {"selma_core", "selma_plugins", "selma_registry"}
# Used by another dependency on our behalf, never imported by name; docs/explanation/dependencies.md says by which.
INDIRECT = {"gguf", "datasets", "accelerate", "cattrs"}


def canonical(requirement: str) -> str:
    """The distribution's name without extras and version."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, object]:
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


def runtime(project: dict[str, object]) -> set[str]:
    return {canonical(text) for text in project["dependencies"]}  # type: ignore[attr-defined]


def extras(project: dict[str, object]) -> set[str]:
    groups = project["optional-dependencies"].values()  # type: ignore[attr-defined]
    return {canonical(text) for group in groups for text in group} - {"selma"}


def imports(root: Path) -> Iterator[tuple[str, Path]]:
    for folder in ("selma_core", "plugins/selma_plugins"):
        for path in sorted((root / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    yield from ((alias.name.split(".")[0], path) for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                    yield node.module.split(".")[0], path


@functools.cache
def distributions() -> dict[str, set[str]]:
    found = importlib.metadata.packages_distributions()
    return {module: {canonical(name) for name in names} for module, names in found.items()}


def test_every_import_is_declared(root: Path, project: dict[str, object]) -> None:
    declared, known = runtime(project) | extras(project), distributions()
    wrong = {
        f"{module} in {path.relative_to(root)}"
        for module, path in imports(root)
        if module not in OURS | set(sys.stdlib_module_names)
        and not (known.get(module, {module.replace("_", "-")}) & declared)
    }
    assert wrong == set()


def test_every_dependency_is_imported(root: Path, project: dict[str, object]) -> None:
    used = {name for module, _ in imports(root) for name in distributions().get(module, {module})}
    assert runtime(project) - used - INDIRECT == set()


def test_every_dependency_is_explained(root: Path, project: dict[str, object]) -> None:
    page = (root / "docs/explanation/dependencies.md").read_text()
    rows = set(re.findall(r"^\| `([^`]+)` \|", page, flags=re.MULTILINE))
    assert runtime(project) | extras(project) == {canonical(row) for row in rows}


def test_constraints_are_exact_versions_of_nothing_local(root: Path) -> None:
    lines = (root / "constraints/base.txt").read_text().splitlines()
    wrong = [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!_-]+", line)]
    assert wrong == []
    pinned = {canonical(line) for line in lines}
    assert not pinned & {"torch", "torchvision", "selma", "pip", "setuptools"}


def test_constraints_cover_every_dependency(root: Path, project: dict[str, object]) -> None:
    pinned = {canonical(line) for line in (root / "constraints/base.txt").read_text().splitlines()}
    assert (runtime(project) | extras(project)) - pinned == {"torch"}


@pytest.mark.parametrize("name", ["cpu.txt", "gpu.txt"])
def test_torch_is_pinned_in_each_choice(root: Path, name: str) -> None:
    lines = [line for line in (root / "constraints" / name).read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "-c base.txt"
    assert [line.split("+")[0] for line in lines[1:]] == ["torch==2.13.0"]


def test_extras_have_names_that_every_pip_finds(project: dict[str, object]) -> None:
    # metadata holds the normalised name, and older pips (23.2 comes with Python 3.11) compare it as it was typed
    wrong = [name for name in project["optional-dependencies"] if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)]  # type: ignore[attr-defined]
    assert wrong == []


def test_bundled_plugins_require_extras_that_exist(project: dict[str, object]) -> None:
    required = {offer.record.requires for offer in Catalog.discover(select="selma").offers()} - {None}
    assert "llama-cpp" in required
    assert required <= set(project["optional-dependencies"])  # type: ignore[call-overload]

"""What `pip install selma` would bring: exactly three import names, with the data and without the tests."""

from __future__ import annotations

import zipfile
from email import message_from_string
from pathlib import Path

import pytest

PACKAGES = {
    "selma_core": "selma_core",
    "selma_plugins": "plugins/selma_plugins",
    "selma_registry": "registry/selma_registry",
}
DATA = {".yaml", ".csv", ".json", ".jsonl", ".safetensors", ".txt", ".j2", ".html", ".css", ".typed", ".md"}


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as archive:
        return {Path(n).name: archive.read(n).decode() for n in archive.namelist() if ".dist-info/" in n}


def test_the_top_level_names_are_the_three_packages(names: list[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert len(tops) == len(PACKAGES) + 1


def test_no_tests_caches_or_private_files_are_shipped(names: list[str]) -> None:
    wrong = [n for n in names if "__pycache__" in n or n.endswith((".pyc", ".log", ".ipynb")) or "/tests/" in n]
    assert wrong == []


def test_every_file_of_the_packages_is_inside(names: list[str], root: Path) -> None:
    missing = []
    for package, folder in PACKAGES.items():
        for path in sorted((root / folder).rglob("*")):
            inside = f"{package}/{path.relative_to(root / folder).as_posix()}"
            if path.is_file() and path.suffix in DATA | {".py"} and inside not in names:
                missing.append(inside)
    assert missing == []


@pytest.mark.parametrize("package", PACKAGES)
def test_types_are_marked(names: list[str], package: str) -> None:
    assert f"{package}/py.typed" in names


def test_registry_data_and_report_templates_are_inside(names: list[str]) -> None:
    registry = [n for n in names if n.startswith("selma_registry/")]
    assert "selma_registry/recipes/shapes.yaml" in registry
    assert any(n.startswith("selma_registry/skills/") and n.endswith(".yaml") for n in registry)
    assert any(n.startswith("selma_registry/benchmarks/") and n.endswith(".csv") for n in registry)
    assert any("shapes_base/" in n and n.endswith(".safetensors") for n in registry)
    assert any(n.startswith("selma_core/report/") and n.endswith((".j2", ".html")) for n in names)


def test_the_registry_holds_no_code(names: list[str]) -> None:
    code = [n for n in names if n.startswith("selma_registry/") and n.endswith(".py")]
    assert code == ["selma_registry/__init__.py"]


def test_the_metadata_names_licence_readme_and_entry_points(metadata: dict[str, str]) -> None:
    fields = message_from_string(metadata["METADATA"])
    assert fields["License-Expression"] == "Apache-2.0"
    assert fields["Requires-Python"] == ">=3.11"
    assert "LICENSE" in metadata
    assert "selma = selma_core.cli:main" in metadata["entry_points.txt"]
    assert "[selma]" in metadata["entry_points.txt"]
    assert set(fields.get_all("Provides-Extra") or []) >= {"dev", "docs", "datasets", "gguf", "llama-cpp", "all"}

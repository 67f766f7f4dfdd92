"""Small distributions on `sys.path`, a cache of their own, and the catalog of the bundled plugins."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from selma_core.catalog import Catalog
from selma_core.records import RegistrySourceRecord
from selma_core.registry import Registry
from tests.core.support import MakeDistribution, MakeRegistry

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the developer's machine reaches a test."""
    monkeypatch.setenv("SELMA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SELMA_PLUGINS", raising=False)
    monkeypatch.delenv("SELMA_PLUGINS_STRICT", raising=False)


@pytest.fixture
def make_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeDistribution]:
    """A function (name, {entry point: code}) -> its folder: an installed distribution, with real metadata."""
    made: list[str] = []

    def make(name: str, plugins: Mapping[str, str], version: str = "1.2") -> str:
        folder = tmp_path / f"site-{name}"
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        lines = ["[selma]"]
        for point, code in plugins.items():
            module = f"fake_plugin_{next(_numbers)}"
            made.append(module)
            (folder / f"{module}.py").write_text(code)
            lines.append(f"{point} = {module}")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(str(folder))
        return str(folder)

    yield make
    for module in made:
        sys.modules.pop(module, None)


@pytest.fixture(scope="module")
def bundled() -> Catalog:
    """The catalog of the bundled plugins."""
    return Catalog.discover(select="selma", strict=False)


@pytest.fixture
def make_registry(tmp_path: Path) -> MakeRegistry:
    """A function {"skills/count.yaml": text} -> a registry of these files, in a source named `mine`."""

    def make(files: Mapping[str, str | bytes], name: str = "mine") -> Registry:
        folder = tmp_path / f"registry-{name}"
        for path, content in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Registry([RegistrySourceRecord(name=name, path=folder)])

    return make

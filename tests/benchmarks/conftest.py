"""No setting of the developer's machine reaches a test; entries over files that a test writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selma_core.catalog import Catalog
from selma_core.data import Entry
from selma_core.registry import Registry


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SELMA_CACHE", str(tmp_path / "cache"))
    for name in ("SELMA_PLUGINS", "SELMA_PLUGINS_STRICT", "SELMA_STORE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The bundled registry."""
    return Registry(Catalog.discover(select="selma", strict=False).registry_sources())


@pytest.fixture
def entry_of() -> Callable[..., Entry]:
    """A function (path, the entry's data) -> the entry."""

    def entry_of(path: Path, **data: Any) -> Entry:
        return Entry(section="benchmarks", name="mine", provider="test", data=data, pin="0", path=path)

    return entry_of

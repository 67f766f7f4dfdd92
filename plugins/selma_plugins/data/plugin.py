"""Offers the recipes, skills, models and benchmarks of the package `selma_registry`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from selma_core import hookimpl
from selma_core.records import RegistrySourceRecord


@hookimpl
def selma_registry_sources() -> Iterator[RegistrySourceRecord]:
    """The bundled registry. The package is located, not imported: it is data."""
    spec = find_spec("selma_registry")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        yield RegistrySourceRecord(name="bundled", path=Path(folder))

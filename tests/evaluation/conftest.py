"""The released DSG-1k answers of PaLI-17B as stored observations."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from selma_plugins.benchmarks.dsg_csv import BenchmarkPrompt, read_benchmark
from selma_plugins.evaluation.answers import verdict
from selma_plugins.evaluation.dsg import spec_of

from selma_core.data import Atom, Entry, ItemAtoms


@pytest.fixture(scope="session")
def data(root: Path) -> Path:
    return root / "tests" / "data" / "dsg"


@pytest.fixture(scope="session")
def golden(data: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((data / "golden.json").read_text())
    return found


@pytest.fixture(scope="session")
def dsg1k_entry(root: Path) -> Entry:
    folder = root / "registry" / "selma_registry" / "benchmarks"
    fields = yaml.safe_load((folder / "dsg1k.yaml").read_text())
    path = folder / fields["file"]
    return Entry(section="benchmarks", name="dsg1k", provider="test", data=fields, pin="0", path=path)


@pytest.fixture(scope="session")
def benchmark(dsg1k_entry: Entry) -> dict[str, BenchmarkPrompt]:
    return read_benchmark(dsg1k_entry)


@pytest.fixture(scope="session")
def specs(benchmark: dict[str, BenchmarkPrompt]) -> dict[str, Any]:
    return {key: spec_of(prompt) for key, prompt in benchmark.items()}


@pytest.fixture(scope="session")
def released(data: Path) -> dict[str, list[dict[str, str]]]:
    """Generator -> its rows in file order."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    with gzip.open(data / "pali17b_dsg.csv.gz", "rt", encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            found[row["t2i_model"]].append(row)
    return dict(found)


@pytest.fixture(scope="session")
def observations(released: dict[str, list[dict[str, str]]]) -> dict[str, tuple[ItemAtoms, ...]]:
    """Generator -> one row of observations per prompt."""
    return {model: _rows(rows) for model, rows in released.items()}


def _rows(rows: list[dict[str, str]]) -> tuple[ItemAtoms, ...]:
    atoms: Mapping[str, list[Atom]] = defaultdict(list)
    for row in rows:
        value = float(verdict(row["answer"]) == "yes")
        atoms[row["item_id"]].append(Atom(key=row["question_id"], value=value, raw=row["answer"]))
    return tuple(ItemAtoms(item_id=f"{key}-0", prompt_id=key, k=0, atoms=tuple(a)) for key, a in atoms.items())

"""The committed benchmark files are what the generator writes."""

import csv
from pathlib import Path

import pytest
import selma_registry
from selma_plugins.shapes.benchmark import COLUMNS, files
from selma_plugins.shapes.words import in_vocabulary

FOLDER = Path(next(iter(selma_registry.__path__))) / "benchmarks"


@pytest.mark.parametrize("name", ["shapes.csv", "shapes_validation.csv"])
def test_the_file_equals_the_generators_output(name: str) -> None:
    assert (FOLDER / name).read_text() == files()[name]


@pytest.mark.parametrize(("name", "items"), [("shapes.csv", 325), ("shapes_validation.csv", 100)])
def test_the_file_has_the_columns_of_dsg(name: str, items: int) -> None:
    with (FOLDER / name).open() as lines:
        rows = list(csv.DictReader(lines))
    assert tuple(rows[0]) == COLUMNS
    assert len({row["item_id"] for row in rows}) == items
    assert all(in_vocabulary(row["text"]) for row in rows)
    assert rows[0]["item_id"].endswith("_000")

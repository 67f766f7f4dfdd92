"""The long form for other programs: one row per variant, metric and group, in full precision."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from selma_core.errors import MissingExtraError
from selma_core.export.rows import COLUMNS, Row
from selma_core.files import writing


def csv_text(rows: Sequence[Row]) -> str:
    """CSV with a header; no data is an empty field, numbers read back as they were."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(getattr(row, name)) for name in COLUMNS] for row in rows)
    return out.getvalue()


def write_parquet(rows: Sequence[Row], path: Path) -> None:
    """A Parquet file with the columns of the CSV, typed; no data is null.

    Raises:
        MissingExtraError: without pyarrow.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise MissingExtraError("writing Parquet needs pyarrow; type: pip install 'selma[parquet]'") from None
    types = {
        "str": pyarrow.string(),
        "int": pyarrow.int64(),
        "float": pyarrow.float64(),
        "bool": pyarrow.bool_(),
    }
    fields = [(field.name, types[str(field.type).partition(" ")[0]]) for field in attrs.fields(Row)]
    table = pyarrow.Table.from_pylist([attrs.asdict(row) for row in rows], schema=pyarrow.schema(fields))
    with writing(path):
        pyarrow.parquet.write_table(table, path)


def _cell(value: Any) -> Any:
    return "" if value is None else repr(value) if isinstance(value, float) else value

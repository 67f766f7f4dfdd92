"""A table and its forms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from selma_core.errors import UserError, did_you_mean
from selma_core.export.grid import claim_grid, score_grid
from selma_core.export.latex import latex_table
from selma_core.export.markdown import markdown_table
from selma_core.export.rows import Row
from selma_core.export.tidy import csv_text, write_parquet
from selma_core.files import make_folder, write_bytes

FORMATS = {"markdown": ".md", "latex": ".tex", "csv": ".csv", "parquet": ".parquet", "json": ".json"}
"""Form -> suffix of its files."""


@attrs.frozen(kw_only=True)
class ResultTable:
    """The scores of a run or ablation, ready to be written.

    Attributes:
        name: of the recipe or ablation. run: its id. baseline: of the differences, "" without comparisons.
        rows: one per variant, metric and group. family: how many comparisons Holm's correction was over.
        claims: the verdicts of an ablation, as in its JSON.
    """

    name: str
    run: str
    baseline: str
    rows: tuple[Row, ...]
    family: int = 0
    claims: tuple[Mapping[str, Any], ...] = ()

    def render(self, form: str = "markdown") -> str:
        """The table as text: `markdown`, `latex`, `csv` or `json`.

        Raises:
            UserError: no such form, or one that is no text (`parquet`).
        """
        if form == "markdown":
            return markdown_table(self._scores(), self._claims())
        if form == "latex":
            return latex_table(self._scores(), self._claims(), self.name)
        if form == "csv":
            return csv_text(self.rows)
        if form == "json":
            return json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"
        if form == "parquet":
            raise UserError("parquet is no text: name a file with --out (in Python: write)")
        raise UserError(f"--format: no form '{form}'; {did_you_mean(form, FORMATS)}")

    def write(self, path: Path, form: str | None = None) -> None:
        """Writes the table; the form is that of the file's suffix where none is named.

        Raises:
            UserError: no such form. MissingExtraError: Parquet without pyarrow.
        """
        form = form or form_of(path)
        make_folder(path.parent)
        if form == "parquet":
            write_parquet(self.rows, path)
        else:
            write_bytes(path, self.render(form).encode())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: the rows in full precision, and the claims."""
        head = {"run": self.run, "name": self.name, "baseline": self.baseline, "family": self.family}
        return {**head, "rows": [attrs.asdict(row) for row in self.rows], "claims": [dict(one) for one in self.claims]}

    def _scores(self) -> Any:
        return score_grid(self.rows, run=self.run, baseline=self.baseline, family=self.family)

    def _claims(self) -> Any:
        return claim_grid(self.claims) if self.claims else None


def form_of(path: Path) -> str:
    """The form that a file's suffix stands for.

    Raises:
        UserError: for another suffix.
    """
    for form, suffix in FORMATS.items():
        if path.suffix == suffix:
            return form
    raise UserError(f"{path}: no form has this suffix; name one with --format ({', '.join(FORMATS)})")

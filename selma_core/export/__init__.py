"""Tables of a stored run or ablation for papers, pages and other programs: Markdown, LaTeX, CSV, Parquet, JSON."""

from __future__ import annotations

from selma_core.export.rows import Row, table_rows
from selma_core.export.table import FORMATS, ResultTable

__all__ = ["FORMATS", "ResultTable", "Row", "table_rows"]

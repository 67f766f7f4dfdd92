"""GitHub tables."""

from __future__ import annotations

import re

from selma_core.export.grid import Column, Grid, one_line

_SPECIAL = re.compile(r"[\\|*`<>\[\]~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def escape_markdown(text: str) -> str:
    """A text that a GitHub table shows as it is: one line, nothing of it read as markup."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", one_line(text))


def markdown_table(scores: Grid, claims: Grid | None = None) -> str:
    """The scores with their notes, and the claims below."""
    parts = [_table(scores), "\n".join(scores.notes), *([] if claims is None else [_table(claims)])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(grid: Grid) -> str:
    head = [_line([column.title for column in grid.columns]), f"| {' | '.join(map(_rule, grid.columns))} |"]
    return "\n".join([*head, *(_line(row) for row in grid.rows)])


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(escape_markdown(cell) for cell in cells)} |"


def _rule(column: Column) -> str:
    return "---:" if column.numeric else "---"

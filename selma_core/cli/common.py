"""What the commands share: their parameters, the way they print, and the catalog with its warnings."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from selma_core.catalog import Catalog
from selma_core.registry import Registry

Overrides = Annotated[
    tuple[str, ...],
    Parameter(
        name=("-o", "--override"),
        help="Set one value, like `-o stages.merge.use=ties`; may be given again.",
        negative="",
        consume_multiple=False,
        show_default=False,
    ),
]
PluginFiles = Annotated[
    tuple[Path, ...],
    Parameter(
        name="--plugin",
        help="A plugin in a single file; may be given again.",
        negative="",
        consume_multiple=False,
        show_default=False,
    ),
]
Until = Annotated[
    tuple[str, ...],
    Parameter(
        name="--until",
        help="Stop at this stage (label or id) and leave out what it does not need; may be given again.",
        negative="",
        consume_multiple=False,
        show_default=False,
    ),
]
Seeds = Annotated[
    str | None,
    Parameter(name="--seeds", help="Training seeds: how many (3 = 0,1,2), or a list (0,7).", show_default=False),
]


def option_flag(what: str) -> Parameter:
    """The parameter `-o name=value` of a command that runs one plugin; `what` it sets, with an example."""
    line = f"{what}; may be given again."
    return Parameter(name=("-o", "--option"), help=line, negative="", consume_multiple=False, show_default=False)


Json = Annotated[bool, Parameter(name="--json", help="Print JSON on stdout.", negative="", show_default=False)]

_log = logging.getLogger("selma")


def open_catalog(files: Sequence[Path] = ()) -> Catalog:
    """The catalog, after one line on stderr for every quarantined plugin (and its traceback under `-v`)."""
    catalog = Catalog.discover(files)
    report_problems(catalog)
    return catalog


def report_problems(catalog: Catalog) -> None:
    """One warning line per quarantined plugin."""
    for problem in catalog.problems:
        _log.warning("%s", problem.line)
        if problem.trace:
            _log.debug("%s", problem.trace)


def open_registry(files: Sequence[Path] = ()) -> Registry:
    """The registry of all sources that plugins offer."""
    return Registry(open_catalog(files).registry_sources())


def print_json(value: Any) -> None:
    """One JSON document on stdout, and nothing else."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table on stdout; columns wrap at the width of the terminal, plain text when stdout is a pipe.

    Without `columns` there is no header: the rows are (name, value).
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(columns))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console = Console(soft_wrap=False)
    if not console.is_terminal:
        console = Console(width=_PIPE_WIDTH)
    console.print(table)


# Wide enough that a line stays a line for grep
_PIPE_WIDTH = 200

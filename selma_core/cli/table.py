"""`selma table`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from selma_core.cli.common import PluginFiles
from selma_core.cli.store import StoreFolder


def table_command(
    name: Annotated[str, Parameter(help="A run or ablation: its id, latest, or its folder.")] = "latest",
    /,
    *,
    form: Annotated[
        Literal["markdown", "latex", "csv", "parquet", "json"] | None,
        Parameter(name="--format", help="Default: what the suffix of --out says, else markdown.", show_default=False),
    ] = None,
    metric: Annotated[
        tuple[str, ...],
        Parameter(
            help="Only this metric; may be given again.", negative="", consume_multiple=False, show_default=False
        ),
    ] = (),
    baseline: Annotated[str, Parameter(help="Of the differences; default: the declared one.", show_default=False)] = "",
    by_group: Annotated[bool, Parameter(help="Also the mean within each group of the benchmark.", negative="")] = False,
    out: Annotated[Path | None, Parameter(help="The file to write; default: stdout.", show_default=False)] = None,
    store: StoreFolder = None,
    plugin: PluginFiles = (),
) -> None:
    """Write the scores of a stored run or ablation as a table for a paper, a page or another program.

    Example: `selma table latest --format latex --metric dsg --out table.tex`
    """
    from selma_core.export.stored import table

    made = table(name, metrics=metric, baseline=baseline, by_group=by_group, store=store, plugins=plugin)
    if out is None:
        sys.stdout.write(made.render(form or "markdown"))
    else:
        made.write(out, form)
        print(out)

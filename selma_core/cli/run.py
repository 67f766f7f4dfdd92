"""`selma run`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from selma_core.cli.common import Json, Overrides, PluginFiles, Until, print_json, report_problems
from selma_core.cli.store import StoreFolder


def run_command(
    recipe: Annotated[str, Parameter(help="Registry name or YAML file.")],
    /,
    *,
    override: Overrides = (),
    store: StoreFolder = None,
    json: Json = False,
    plugin: PluginFiles = (),
    until: Until = (),
) -> int:
    """Run a recipe: only what the store does not hold yet.

    Progress goes to stderr. With `--json` stdout holds one JSON object, else the table of scores.

    Example: `selma run shapes -o stages.merge.use=param_mean --store my-store`
    """
    from rich.console import Console

    from selma_core.cli.progress import RunProgress
    from selma_core.cli.tables import print_tables
    from selma_core.collect import benchmark_notes
    from selma_core.engine import run_session
    from selma_core.session import open_session

    session = open_session(recipe, override, store=store, plugins=plugin, until=until)
    report_problems(session.catalog)
    with RunProgress() as progress:
        run = run_session(session, progress)
    if json:
        print_json(run.result)
    else:
        print_tables(Console(), run.result, f"{run.recipe.name}: scores", benchmark_notes(session, run.nodes))
    errors = Console(stderr=True)
    if run.report is not None:
        errors.print(f"report: {run.report.as_uri()}", highlight=False, soft_wrap=True, markup=False)
    for node in run.failed:
        errors.print(f"selma: error: {node.error}", highlight=False, soft_wrap=True, markup=False)
    return 0 if run.ok and run.report is not None else 1

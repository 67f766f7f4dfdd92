"""`selma run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from selma_core.cli.common import Json, Overrides, PluginFiles, Seeds, Until, print_json, report_problems
from selma_core.cli.store import StoreFolder

Vary = Annotated[
    tuple[str, ...],
    Parameter(
        name="--vary",
        help="Values that a setting takes in turn, like stages.merge.use=linear,ties; may be given again.",
        negative="",
        consume_multiple=False,
        show_default=False,
    ),
]

Grid = Annotated[Literal["full", "one"], Parameter(help="With --vary: all combinations, or one at a time.")]


def run_command(
    recipe: Annotated[str, Parameter(help="Registry name or YAML file.")],
    /,
    *,
    override: Overrides = (),
    store: StoreFolder = None,
    json: Json = False,
    plugin: PluginFiles = (),
    until: Until = (),
    vary: Vary = (),
    grid: Grid = "full",
    seeds: Seeds = None,
) -> int:
    """Run a recipe: only what the store does not hold yet.

    Progress goes to stderr. With `--json` stdout holds one JSON object, else the table of scores. With `--vary` the
    recipe runs in several variants, with `--seeds` several times, as an ablation: what they share is made once.

    Example: `selma run shapes -o stages.merge.use=param_mean --store my-store`
    """
    if vary or seeds is not None:
        return _ablate(recipe, vary, grid, seeds, override, store=store, json=json, plugin=plugin, until=until)
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


def _ablate(
    recipe: str,
    settings: tuple[str, ...],
    grid: str,
    seeds: str | None,
    override: tuple[str, ...],
    *,
    store: Path | None,
    json: bool,
    plugin: tuple[Path, ...],
    until: tuple[str, ...],
) -> int:
    from selma_core.ablation import open_variants, parse_seeds, repeat, vary
    from selma_core.cli.ablate import finish
    from selma_core.errors import UserError
    from selma_core.variations import parse_vary

    if until:
        flag = "--vary" if settings else "--seeds"
        raise UserError(f"--until and {flag}: an ablation compares scores, so its variants run to their end")
    several = () if seeds is None else parse_seeds(seeds)
    ablation = vary(recipe, parse_vary(settings), grid, several) if settings else repeat(recipe, several)
    return finish(open_variants(ablation, override, store=store, plugins=plugin), json=json)

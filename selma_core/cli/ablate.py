"""`selma ablate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from selma_core.cli.common import Json, Overrides, PluginFiles, Seeds, print_json, report_problems
from selma_core.cli.store import StoreFolder

if TYPE_CHECKING:
    from selma_core.ablation import OpenAblation


def ablate_command(
    name: Annotated[str, Parameter(help="Registry name or YAML file of an ablation.")],
    /,
    *,
    override: Overrides = (),
    store: StoreFolder = None,
    seeds: Seeds = None,
    plan: Annotated[bool, Parameter(help="Only show what would run.", negative="")] = False,
    picture: Annotated[
        Path | None, Parameter(help="An SVG to write: differences and intervals.", show_default=False)
    ] = None,
    json: Json = False,
    plugin: PluginFiles = (),
) -> int:
    """Run an ablation: variants of one recipe over shared stages, as one table with intervals.

    With `--seeds` each variant is trained and drawn anew with each seed, and intervals are over seeds and prompts.

    Example: `selma ablate shapes_guidance --plan`
    """
    from selma_core.ablation import open_ablation, parse_seeds

    several = () if seeds is None else parse_seeds(seeds)
    opened = open_ablation(name, override, store=store, plugins=plugin, seeds=several)
    return finish(opened, plan=plan, picture=picture, json=json)


def finish(opened: OpenAblation, *, plan: bool = False, picture: Path | None = None, json: bool = False) -> int:
    """Plans or runs an opened ablation and prints what came of it; the exit code."""
    from rich.console import Console

    from selma_core.ablation import run_ablation
    from selma_core.cli.plan import show_plan
    from selma_core.cli.progress import RunProgress
    from selma_core.cli.tables import print_tables
    from selma_core.files import make_folder, write_bytes
    from selma_core.report.forest import forest_svg

    report_problems(opened.first.catalog)
    if plan:
        show_plan(opened.plan, opened.first, json=json, shared=False)
        return 0
    with RunProgress() as progress:
        done = run_ablation(opened, progress)
    title = f"ablation {opened.ablation.name} of {opened.first.recipe.name}"
    if picture is not None and done.result["scores"]:
        make_folder(picture.parent)
        write_bytes(picture, forest_svg(done.result, title).encode())
    if json:
        print_json(done.result)
    else:
        print_tables(Console(), done.result, title)
    errors = Console(stderr=True)
    for node in done.nodes:
        if node.error:
            errors.print(f"selma: error: {node.error}", highlight=False, soft_wrap=True, markup=False)
    return 0 if done.ok else 1

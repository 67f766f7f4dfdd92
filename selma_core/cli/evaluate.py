"""`selma evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from selma_core.cli.common import Json, PluginFiles, open_catalog, option_flag, print_json
from selma_core.cli.store import StoreFolder

Evaluators = Annotated[
    tuple[str, ...],
    Parameter(
        name="--evaluator",
        help="Name of an evaluator; default the benchmark's own; may be given again.",
        negative="",
        consume_multiple=False,
        show_default=False,
    ),
]
Options = Annotated[
    tuple[str, ...], option_flag("An option of the evaluator, like `-o rule=selma` or `-o dsg.rule=selma`")
]
Strict = Annotated[
    bool, Parameter(help="Exit code 2 where an image is missing, before anything is judged.", negative="")
]


def evaluate_command(
    *,
    images: Annotated[Path, Parameter(help="Folder of images.")],
    benchmark: Annotated[str, Parameter(help="Registry name, or a file of prompts (./my.csv).")],
    evaluator: Evaluators = (),
    judge: Annotated[str | None, Parameter(help="Chat model that answers; default the evaluator's own.")] = None,
    option: Options = (),
    per_prompt: Annotated[int | None, Parameter(help="Images that each prompt should have.")] = None,
    strict: Strict = False,
    out: Annotated[Path | None, Parameter(help="Folder for scores.json, the report and all observations.")] = None,
    store: StoreFolder = None,
    json: Json = False,
    plugin: PluginFiles = (),
) -> int:
    """Score a folder of images that SELMA did not make.

    Example: `selma evaluate --images my_images --benchmark dsg1k --judge openai -o judge.options.model=my-vlm`
    """
    from rich.console import Console

    from selma_core.cli.progress import RunProgress
    from selma_core.evaluating import Wanted, check_out, evaluate_folder, write_evaluation

    check_out(out, images)
    wanted = Wanted(
        images=images,
        benchmark=benchmark,
        evaluators=evaluator,
        judge=judge,
        overrides=option,
        per_prompt=per_prompt,
        strict=strict,
    )
    with RunProgress() as progress:
        found = evaluate_folder(wanted, open_catalog(plugin), store=store, on_event=progress)
    if out is not None:
        write_evaluation(found, out)
    if json:
        print_json(found.result)
    else:
        _print(Console(), found.run.result, found.result)
    errors = Console(stderr=True)
    for line in (line for node in found.run.nodes if node.outcome == "reused" for line in node.warnings):
        errors.print(f"selma: warning: {line}", highlight=False, soft_wrap=True, markup=False)
    if found.run.report is not None:
        errors.print(f"report: {found.run.report.as_uri()}", highlight=False, soft_wrap=True, markup=False)
    for node in found.run.failed:
        errors.print(f"selma: error: {node.error}", highlight=False, soft_wrap=True, markup=False)
    return 0 if found.ok else 1


def _print(console: Any, run: Any, result: Any) -> None:
    from selma_core.cli.tables import print_tables

    share = f"{100 * result['coverage']:.1f} %"
    counts = f"{result['found_images']} of {result['expected_images']} expected ({share})"
    note = f"images: {counts} for {result['prompts']} prompts"
    print_tables(console, run, f"{result['benchmark']}: scores", [note])

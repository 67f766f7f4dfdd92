"""`selma study export` and `selma study import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from selma_core.cli.common import Json, print_json, print_table
from selma_core.cli.store import StoreFolder

app = App(
    name="study",
    help="Ask people: blinded pairs of images as an offline page, and what the answers say."
    "\n\nExample: `selma study export images_a images_b --out study`",
)
Images = Annotated[
    str,
    Parameter(help="A folder with metadata.jsonl (file_name, text), a fingerprint, or RUN:VARIANT like latest:merged."),
]
Key = Annotated[Path | None, Parameter(help="The key; default the folder's name with .key.json, beside it.")]


@app.command(name="export")
def export_command(
    a: Images,
    b: Images,
    /,
    *,
    out: Annotated[Path, Parameter(help="The new folder for the raters: index.html, pairs.jsonl, images/.")],
    pairs: Annotated[int | None, Parameter(help="At most so many, spread over the prompts; default all.")] = None,
    checks: Annotated[int, Parameter(help="Attention checks besides.")] = 0,
    seed: Annotated[int, Parameter(help="Of sides, order and choice.")] = 0,
    names: Annotated[str | None, Parameter(help="What the two are called in the key, like `merged,base`.")] = None,
    key: Key = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Write pairs of two image sets as a page that works offline, blinded, and the key to them beside it.

    Example: `selma study export latest:merged latest:base --out study --pairs 100 --checks 5`
    """
    from selma_core.errors import UserError
    from selma_core.store import Store, default_store
    from selma_core.stored_images import find_images
    from selma_core.study import export_study

    called = [a, b] if names is None else [name.strip() for name in names.split(",")]
    if names is not None and (len(called) != 2 or not all(called)):
        raise UserError(f"--names '{names}': give two with a comma between them, like merged,base")
    for flag, value in (("--pairs", 1 if pairs is None else pairs), ("--checks", checks + 1)):
        if value < 1:
            raise UserError(f"{flag} is too small")
    place = Store(store or default_store())
    first, second = find_images(a, place), find_images(b, place)
    done = export_study(first, second, out, names=called, seed=seed, limit=pairs, checks=checks, key=key)
    if json:
        places = {"folder": str(done.folder), "page": str(done.page), "key": str(done.key)}
        print_json({"study": done.id, **places, "pairs": done.pairs, "checks": done.checks})
    else:
        print(f"{done.page}: {done.pairs} pairs, {done.checks} attention checks")
        print(f"{done.key}: says which image is whose; keep it from the raters")


@app.command(name="import")
def import_command(
    name: Annotated[Path, Parameter(help="The study's folder.")],
    /,
    *results: Annotated[Path, Parameter(help="The raters' files, like results-*.json.")],
    key: Key = None,
    allowed_failures: Annotated[int, Parameter(help="Failed attention checks that a rater may have.")] = 0,
    seed: Annotated[int, Parameter(help="Of the bootstrap over prompts and raters.")] = 0,
    json: Json = False,
) -> None:
    """Say what the raters' answers say: win rates with intervals, agreement, who failed attention checks.

    Example: `selma study import study results-ana.json results-ben.json`
    """
    from selma_core.study import import_results

    place = key or name.absolute().with_name(f"{name.absolute().name}.key.json")
    found = import_results(place, results, allowed_failures=allowed_failures, seed=seed)
    print_json(found) if json else _print(found)


def _print(found: dict[str, Any]) -> None:
    print(f"{found['a']} (A) against {found['b']} (B), {found['n_pairs']} pairs; ties count half\n")
    columns = ("question", "A preferred", "95 % interval", "W/T/L", "answers", "missing", "prompts", "raters", "alpha")
    print_table(columns, [(name, *_row(row)) for name, row in found["questions"].items()])
    for rater in found["raters"]:
        if rater["failed_checks"]:
            verdict = "left out" if rater["left_out"] else "kept"
            print(f"rater '{rater['rater']}' failed {len(rater['failed_checks'])} attention checks: {verdict}")


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    rate, ends = "-", "-"
    if row["win_rate"] is not None:
        rate, ends = f"{row['win_rate']:.1f} %", f"{row['low']:.1f} .. {row['high']:.1f}"
    alpha = "-" if row["alpha"] is None else f"{row['alpha']:.3f}"
    outcome = f"{row['wins']}/{row['ties']}/{row['losses']}"
    counts = (str(row[key]) for key in ("n_answers", "n_missing", "n_prompts", "n_raters"))
    return (rate, ends, outcome, *counts, alpha)

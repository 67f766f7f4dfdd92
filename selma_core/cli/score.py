"""`selma score`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from selma_core.cli.common import Json, PluginFiles, open_catalog, print_json, print_table
from selma_core.cli.store import StoreFolder
from selma_core.errors import UserError
from selma_core.registry import Registry

Rule = Annotated[str | None, Parameter(help="A scoring rule; default the metric's own (the recipe's, for a run).")]

_log = logging.getLogger("selma")


def score_command(
    name: Annotated[
        str | None,
        Parameter(help="A folder of scores, a fingerprint, or a run: ID or latest, alone or with :VARIANT or :STAGE."),
    ] = None,
    /,
    *,
    rule: Rule = None,
    benchmark: Annotated[
        str | None, Parameter(help="The questions that --answers belong to; dsg is short for dsg1k.")
    ] = None,
    answers: Annotated[Path | None, Parameter(help="A CSV as the benchmark's authors release it (or .csv.gz).")] = None,
    t2i_model: Annotated[str | None, Parameter(help="Whose images; needed where the file knows several.")] = None,
    evaluator: Annotated[str | None, Parameter(help="Who reads the answers; default the benchmark's own.")] = None,
    store: StoreFolder = None,
    json: Json = False,
    plugin: PluginFiles = (),
) -> None:
    """Score stored observations or released answers under any rule, without a model.

    Example: `selma score --benchmark dsg --answers pali17b_dsg.csv --t2i-model sd2dot1 --rule official --json`
    """
    if (name is None) == (answers is None):
        raise UserError("name stored scores (a folder, a run), or give --benchmark and --answers")
    if answers is None:
        given = {"--benchmark": benchmark, "--t2i-model": t2i_model, "--evaluator": evaluator}
        if any(given.values()):
            raise UserError(f"{', '.join(key for key, value in given.items() if value)}: only with --answers")
        _stored(str(name), rule, store, plugin, json)
        return
    if benchmark is None:
        raise UserError("--answers needs --benchmark, the questions they belong to, like --benchmark dsg")
    from selma_core.answers import score_answers

    catalog = open_catalog(plugin)
    registry = Registry(catalog.registry_sources())
    found = score_answers(
        answers, benchmark, catalog=catalog, registry=registry, source=t2i_model, rule=rule, evaluator=evaluator
    )
    for note in found.answers.notes:
        _log.warning("%s", note)
    print_json(found.to_json()) if json else _print(found.to_json())


def _stored(name: str, rule: str | None, store: Path | None, plugin: PluginFiles, json: bool) -> None:
    from selma_core.store import Store, default_store
    from selma_core.stored_scores import open_scores

    found = open_scores(name, Store(store or default_store()), open_catalog(plugin))
    rows = [one.to_json(rule) for one in found]
    if json:
        print_json({"scores": rows})
        return
    for place, row in enumerate(rows):
        if place:
            print()
        _print(row)


def _print(row: dict[str, Any]) -> None:
    shown = [(key.replace("_", " "), _text(value)) for key, value in row.items() if not isinstance(value, dict)]
    for key, text in shown:
        if text != "":
            print(f"{key:22} {text}")
    groups = row["by_group"] | row.get("by_category", {})
    if groups:
        print_table(("group", "score"), [(group, _text(value)) for group, value in groups.items()])


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} ({', '.join(map(str, value[:3]))}{', ...' if len(value) > 3 else ''})" if value else "0"
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else "-" if value is None else str(value)

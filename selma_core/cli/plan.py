"""`selma plan`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from selma_core.cli.common import Json, Overrides, PluginFiles, Until, print_json, print_table, report_problems
from selma_core.cli.store import StoreFolder

if TYPE_CHECKING:
    from selma_core.graph.estimate import Estimate
    from selma_core.graph.plan import Planned
    from selma_core.session import Session

_log = logging.getLogger("selma")


def plan_command(
    recipe: Annotated[str, Parameter(help="Registry name or YAML file.")],
    /,
    *,
    override: Overrides = (),
    store: StoreFolder = None,
    json: Json = False,
    plugin: PluginFiles = (),
    until: Until = (),
) -> None:
    """Show what a run would do, and do nothing. Needs no network and no model files.

    `run`: to be made. `hit`: in the store. `shared`: the same as an earlier stage. `suspect`: damaged, made again.

    Example: `selma plan shapes -o stages.merge.use=param_mean`
    """
    from selma_core.collect import judge_warnings
    from selma_core.graph.plan import make_plan, members
    from selma_core.session import open_session

    session = open_session(recipe, override, store=store, plugins=plugin, until=until)
    report_problems(session.catalog)
    for shared in judge_warnings(session):
        _log.warning("%s: %s", shared.scores, shared.line)
    show_plan(make_plan(members(session.graph), session.store), session, json=json)


def show_plan(plan: Sequence[Planned], session: Session, *, json: bool, shared: bool = True) -> None:
    """A plan and how long it will take, as JSON or as a table; `shared` = with stages that are the same as earlier."""
    from selma_core.engine import plan_json
    from selma_core.graph.estimate import estimate

    expected = estimate(plan, session.store)
    rows = plan_json(plan, expected)
    if json:
        print_json({"stages": rows, "expected_seconds": expected.seconds, "not_expected": expected.unknown})
        return
    _print_plan(rows, shared)
    if expected.stages:
        print(_expected(expected))


def _expected(expected: Estimate) -> str:
    total = len(expected.stages)
    if expected.unknown == total:
        return "expected: not known, this store holds nothing of the kind"
    known = (
        "" if not expected.unknown else f", {expected.unknown} of {total} stages not counted: nothing like them here"
    )
    return f"expected: {_duration(expected.seconds)} of work, by stages like these in the store{known}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _print_plan(rows: list[dict[str, Any]], shared: bool) -> None:
    """The table, and a line of counts."""
    shown = [row for row in rows if shared or row["status"] != "shared"]
    table = [(row["status"], row["id"], row["plugin"], row["fingerprint"][:12]) for row in shown]
    print_table(("status", "stage", "plugin", "fingerprint"), table)
    counts = Counter(row["status"] for row in rows)
    print(", ".join(f"{count} {status}" for status, count in counts.items()))

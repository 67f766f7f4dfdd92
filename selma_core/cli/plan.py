"""`selma plan`."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from cyclopts import Parameter

from selma_core.cli.common import Json, Overrides, PluginFiles, Until, print_json, print_table, report_problems
from selma_core.cli.store import StoreFolder


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
    from selma_core.engine import plan_json
    from selma_core.graph.plan import make_plan, members
    from selma_core.session import open_session

    session = open_session(recipe, override, store=store, plugins=plugin, until=until)
    report_problems(session.catalog)
    rows = plan_json(make_plan(members(session.graph), session.store))
    if json:
        print_json({"stages": rows})
        return
    print_plan(rows)


def print_plan(rows: list[dict[str, str]], *, shared: bool = True) -> None:
    """The plan as a table, with a last line of counts; `shared` = with the stages that are the same as earlier ones."""
    shown = [row for row in rows if shared or row["status"] != "shared"]
    table = [(row["status"], row["id"], row["plugin"], row["fingerprint"][:12]) for row in shown]
    print_table(("status", "stage", "plugin", "fingerprint"), table)
    counts = Counter(row["status"] for row in rows)
    print(", ".join(f"{count} {status}" for status, count in counts.items()))

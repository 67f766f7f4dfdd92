"""`selma why`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import attrs
from cyclopts import Parameter

from selma_core.cli.common import Json, Overrides, PluginFiles, print_json, print_table, report_problems
from selma_core.cli.store import StoreFolder

if TYPE_CHECKING:
    from selma_core.graph.why import Explanation


def why_command(
    recipe: Annotated[str, Parameter(help="Registry name or YAML file.")],
    stage: Annotated[str, Parameter(help="A stage, like `merge` or `expert[count]`.")],
    /,
    *,
    override: Overrides = (),
    store: StoreFolder = None,
    json: Json = False,
    plugin: PluginFiles = (),
) -> None:
    """Say why a stage would run: what differs from the nearest stored artifact of its kind.

    Example: `selma why shapes merge -o stages.merge.use=param_mean`
    """
    from selma_core.graph.why import explain
    from selma_core.session import open_session

    session = open_session(recipe, override, store=store, plugins=plugin)
    report_problems(session.catalog)
    found = explain(session.graph[stage], session.graph, session.store)
    if json:
        print_json(_to_json(found))
    else:
        _print(found)


def _to_json(found: Explanation) -> dict[str, Any]:
    return {
        "stage": found.node.id,
        "status": found.status,
        "fingerprint": found.node.fingerprint,
        "nearest": None if found.nearest is None else found.nearest.fingerprint,
        "differences": [attrs.asdict(difference) for difference in found.differences],
    }


def _print(found: Explanation) -> None:
    name = f"{found.node.id} ({found.node.fingerprint[:12]})"
    if found.status == "hit":
        print(f"{name}: is in the store, it would not run")
    elif found.status == "suspect":
        print(f"{name}: is in the store, but a file is missing or of the wrong size; it would run again")
    elif found.nearest is None:
        print(f"{name}: would run, because the store holds no {found.node.kind} yet")
    else:
        near = found.nearest
        print(f"{name}: would run; the nearest stored is {near.label} of {near.created} ({near.fingerprint[:12]})")
        rows = [(d.field, _short(d.now), _short(d.stored), d.hint) for d in found.differences]
        print_table(("field", "now", "stored", ""), rows)


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 and text.isalnum() else text

"""`selma compare`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from selma_core.cli.common import Json, PluginFiles, open_catalog, print_json, print_table
from selma_core.cli.score import Rule
from selma_core.cli.store import StoreFolder

Across = Annotated[
    bool, Parameter(help="Compare numbers of different metrics, rules or judges all the same.", negative="")
]
Seeds = Annotated[
    bool,
    Parameter(
        help="A variant's tables in several runs are its training seeds; the bootstrap is over both.", negative=""
    ),
]
Groups = Annotated[
    bool, Parameter(help="Also within each group, to explore: q values (Benjamini-Hochberg).", negative="")
]


def compare_command(
    *names: Annotated[
        str, Parameter(help="Folders of scores, fingerprints, runs (ID or latest: all variants), RUN:VARIANT.")
    ],
    baseline: Annotated[str | None, Parameter(help="Its name; default the recipe's baseline, else the first.")] = None,
    rule: Rule = None,
    metric: Annotated[str | None, Parameter(help="Only this metric.")] = None,
    across: Across = False,
    seeds: Seeds = False,
    groups: Groups = False,
    interval: Annotated[
        Literal["percentile", "bca"], Parameter(help="How intervals of single runs are cut.")
    ] = "percentile",
    store: StoreFolder = None,
    json: Json = False,
    plugin: PluginFiles = (),
) -> None:
    """Compare stored scores, paired by prompt: differences with intervals, p values, what could have been seen.

    Example: `selma compare latest:merged latest:base --rule official`
    """
    from selma_core.comparing import compare_stored
    from selma_core.errors import UserError
    from selma_core.store import Store, default_store
    from selma_core.stored_scores import open_scores

    if not names:
        raise UserError("name what to compare: two folders of scores, or a run (see: selma compare --help)")
    catalog, opened = open_catalog(plugin), Store(store or default_store())
    found = compare_stored(
        [one for name in names for one in open_scores(name, opened, catalog)],
        rule=rule,
        metric=metric,
        baseline=baseline,
        across=across,
        seeds=seeds,
        groups=groups,
        method=interval,
    )
    print_json(found) if json else _print(found)


def _print(found: Mapping[str, Any]) -> None:
    columns: tuple[str, ...] = ("variant", "metric", "rule", "judge", "score", "95 % interval", "prompts", "coverage")
    print_table(columns, map(_score_row, found["scores"]))
    print()
    columns = (
        "variant",
        "against",
        "metric",
        "difference",
        "95 % interval",
        "p",
        "p (Holm)",
        "MDE",
        "W/T/L",
        "prompts",
        "runs",
    )
    print_table(columns, map(_row, found["comparisons"]))
    for line in _notes(found):
        print(line)
    if found.get("groups"):
        print()
        columns = ("group", "variant", "against", "metric", "difference", "95 % interval", "p", "q", "prompts")
        print_table(columns, map(_group_row, found["groups"]))


def _score_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    names = row["name"], row["metric"], row["rule"], row["judge"] or "-"
    return (*names, _number(row["score"]), _ends(row), str(row["n_prompts"]), f"{100 * row['coverage']:.1f} %")


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    outcome = f"{row['wins']}/{row['ties']}/{row['losses']}"
    runs = " / ".join(map(str, row["runs"]))
    return (*_compared(row), _p(row["p_holm"]), _number(row["mde"]), outcome, str(row["n"]), runs)


def _group_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (row["group"], *_compared(row), _p(row["q"]), str(row["n"]))


def _compared(row: Mapping[str, Any]) -> tuple[str, ...]:
    names = row["variant"], row["baseline"], row["metric"]
    return (*names, f"{row['difference']:+.2f}", _ends(row, "+"), _p(row["p"]))


def _notes(found: Mapping[str, Any]) -> Iterator[str]:
    rows = found["comparisons"]
    shown = f"{len(rows)} comparison{'s' if len(rows) > 1 else ''} shown"
    yield f"Holm's correction is for the {shown}. MDE: what would be found with 80 % power."
    most = max((max(row["runs"]) for row in rows), default=1)
    if most == 1:
        yield "Single training runs: how training seeds differ is not in these intervals."
    elif most < 3:
        yield f"Only {most} training runs: three or more are needed to say how training seeds differ."


def _ends(row: Mapping[str, Any], sign: str = "") -> str:
    return "-" if row["low"] is None else f"{row['low']:{sign}.2f} .. {row['high']:{sign}.2f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"

"""Tables of what is in a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from selma_core.data import Summary
from selma_core.errors import ArtifactError, UserError
from selma_core.export.rows import Row, baseline_of, score_row, table_rows
from selma_core.export.table import ResultTable
from selma_core.scoring import score_entry
from selma_core.store import Store, default_store


def table(
    run: str | Path = "latest",
    *,
    metrics: Sequence[str] = (),
    baseline: str = "",
    by_group: bool = False,
    store: Path | None = None,
    plugins: Sequence[Path] = (),
) -> ResultTable:
    """The scores of a stored run or ablation as a table.

    Examples:
        >>> selma_core.table("latest", metrics=["dsg"]).write(Path("table.tex"))

    Args:
        run: its id, `latest`, or its folder. metrics: only these. baseline: of the differences; "" = the declared one.
        by_group: also the means within each group of the benchmark, from the stored observations.
        store: default `$SELMA_STORE`, else `./selma-store`. plugins: single-file plugins, where groups need them.

    Raises:
        UserError: an unknown run, metric or baseline; a run without scores. ArtifactError: a broken `run.json`.
    """
    opened = Store(store or default_store())
    record = read_record(run, opened)
    rows = table_rows(record, metrics=metrics, baseline=baseline)
    if not rows:
        state = record.get("state")
        raise UserError(f"run {record['run']} has no scores{f' (it is {state})' if state else ''}")
    if by_group:
        rows = _with_groups(rows, record, opened, plugins)
    return ResultTable(
        name=str(record.get("ablation") or record.get("recipe") or ""),
        run=str(record["run"]),
        baseline=baseline_of(record, baseline),
        rows=rows,
        family=len(record.get("comparisons") or ()),
        claims=tuple(record.get("claims") or ()),
    )


def read_record(run: str | Path, store: Store) -> dict[str, Any]:
    """The `run.json` of a run.

    Raises:
        UserError: no such run. ArtifactError: a broken file.
    """
    from selma_core.stored_runs import find_run, open_run

    folder = Path(run)
    found = open_run(folder) if (folder / "run.json").is_file() else find_run(str(run), store, "the folder of a run")
    if "run" not in found.record:
        raise ArtifactError(f"{found.id}/run.json: is no record of a run (KeyError)")
    return {**found.record, "run": str(found.record["run"])}


def _with_groups(
    rows: Sequence[Row], record: Mapping[str, Any], store: Store, plugins: Sequence[Path]
) -> tuple[Row, ...]:
    from selma_core.catalog import Catalog
    from selma_core.stored_scores import open_scores

    run = str(record["run"])
    if "ablation" in record:
        raise UserError(f"{run} is an ablation, whose record has no groups; see: selma compare {run} --groups")
    summaries = [(one, one.summary()) for one in open_scores(run, store, Catalog.discover(plugins))]
    found: list[Row] = []
    for row in rows:
        found.append(row)
        for one, summary in summaries:
            if one.variant == row.variant and _same(row, summary):
                found += [
                    score_row(row.variant, row.metric, {**entry, "rule": row.rule, "judge": row.judge}, group)
                    for group, entry in group_entries(summary, one.seed)
                ]
    return tuple(found)


def _same(row: Row, summary: Summary) -> bool:
    """Two judges of one metric: the second goes by `metric:label` in the run."""
    return (row.metric.partition(":")[0], row.judge, row.rule) == (summary.metric, summary.judge, summary.rule)


def group_entries(summary: Summary, seed: int) -> list[tuple[str, dict[str, Any]]]:
    """(group, score entry) for every group of the benchmark: the mean over its prompts, with its interval."""
    found = []
    for group in dict.fromkeys(name for prompt in summary.prompts for name in prompt.groups):
        prompts = tuple(prompt for prompt in summary.prompts if group in prompt.groups)
        images = sum(len(prompt.per_image) for prompt in prompts)
        part = attrs.evolve(
            summary,
            prompts=prompts,
            mean=summary.groups.get(group),
            group_mean=False,
            n_prompts=sum(prompt.value is not None for prompt in prompts),
            n_images=images,
            expected_images=images,
        )
        found.append((group, score_entry(part, seed)))
    return found

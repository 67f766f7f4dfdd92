"""`selma compare`: stored scores, paired by prompt, with one correction for all comparisons shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from selma_core.contenders import Contender, compared
from selma_core.data import PromptScore, Summary
from selma_core.errors import UnknownNameError, UserError, did_you_mean
from selma_core.scoring import observed
from selma_core.statistics import Method, benjamini_hochberg, holm
from selma_core.stored_scores import StoredScores

Key = tuple[str, str, str]
"""metric, rule, judge: what makes two numbers comparable."""
Table = tuple[StoredScores, Summary]


@attrs.frozen(kw_only=True)
class Named(Contender):
    """One that `--baseline` may name. Attributes: variant = of the recipe; is_baseline = of the recipe's report."""

    variant: str
    is_baseline: bool


def compare_stored(
    stored: Sequence[StoredScores],
    *,
    rule: str | None = None,
    metric: str | None = None,
    baseline: str | None = None,
    across: bool = False,
    seeds: bool = False,
    groups: bool = False,
    method: Method = "percentile",
    seed: int = 0,
) -> dict[str, Any]:
    """Every variant against a baseline, in each metric.

    Args:
        stored: what to compare. rule: of all; None = each one's own. metric: only this one.
        baseline: its name; None = the recipe's where there is one, else the first.
        across: compare numbers of different metrics, rules or judges all the same.
        seeds: tables of one variant from several runs are its training seeds; the bootstrap is over runs and prompts.
        groups: also compare within each group of the benchmark, with q values (Benjamini-Hochberg).
        method: of the intervals of single runs. seed: of the resampling.

    Returns:
        the object of `selma compare --json`.

    Raises:
        UserError: fewer than two variants, numbers that are not comparable, an unknown baseline or metric.
    """
    if across and seeds:
        raise UserError(
            "--seeds averages over training runs, which must be of one metric, rule and judge: drop --across"
        )
    tables = _tables(stored, rule, metric, across, seeds)
    scores, rows, grouped = [], [], []
    for key, found in tables.items():
        contenders = _contenders(found, seeds)
        base = _baseline(contenders, baseline)
        scores += [_score(one, seed) for one in contenders]
        for one in contenders:
            if one is not base:
                rows += _compared(one, base, key[0], seed, method)
                grouped += _by_group(one, base, key[0], seed) if groups else []
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = adjusted
    for row, adjusted in zip(grouped, benjamini_hochberg([row["p"] for row in grouped]), strict=True):
        row["q"] = adjusted
    return {"scores": scores, "comparisons": rows, **({"groups": grouped} if groups else {})}


def _tables(
    stored: Sequence[StoredScores], rule: str | None, metric: str | None, across: bool, seeds: bool
) -> dict[Key, list[Table]]:
    """The tables by metric, rule, judge; those that nothing can be compared with are an error."""
    once = {(one.folder.resolve(), one.name): one for one in stored}.values()
    known = {one.table.info.name for one in once}
    if metric is not None and metric not in known:
        raise UnknownNameError(f"no scores in metric '{metric}'; {did_you_mean(metric, known)}")
    chosen = [one for one in once if metric in (None, one.table.info.name)]
    tables: list[Table] = [(one, one.summary(rule)) for one in chosen]
    found: dict[Key, list[Table]] = {}
    for table in tables:
        found.setdefault(_key(table[1]), []).append(table)
    if across:
        return {("across", "", ""): _of_one_scale(tables)}
    names = {key: {one.variant if seeds else one.name for one, _ in members} for key, members in found.items()}
    lonely = [key for key in found if len(names[key]) < 2]
    if len(tables) < 2 or (lonely and len(found) == 1):
        raise UserError("a comparison needs two variants: name two, or a run that has several")
    if lonely:
        odd, other = found[lonely[0]][0], next(members[0] for key, members in found.items() if key != lonely[0])
        raise UserError(f"not the same number: {_title(*odd)}; {_title(*other)}; --across compares all the same")
    return found


def _key(summary: Summary) -> Key:
    return summary.metric, summary.rule, summary.judge


def _title(one: StoredScores, summary: Summary) -> str:
    return f"{one.name} is {summary.metric} by rule '{summary.rule}', judge '{summary.judge}'"


def _of_one_scale(tables: list[Table]) -> list[Table]:
    first = tables[0]
    for table in tables:
        if table[1].scale != first[1].scale:
            raise UserError(f"of different scales, so no difference: {_title(*first)}; {_title(*table)}")
    return tables


def _contenders(tables: Sequence[Table], seeds: bool) -> list[Named]:
    found: dict[str, dict[str, Table]] = {}
    for one, summary in tables:
        name = (one.variant or one.name) if seeds else one.name
        run = one.run or str(one.folder)
        if not seeds and name in found:  # two judges of one variant, under --across
            name = f"{name} ({summary.judge or summary.metric}, {one.folder.name[:8]})"
        if run in found.setdefault(name, {}):
            raise UserError(f"two score tables of '{name}' in run {run}; choose one by --metric or RUN:STAGE")
        found[name][run] = one, summary
    return [
        Named(
            name=name,
            variant=next(iter(members.values()))[0].variant,
            runs={run: summary for run, (_, summary) in members.items()},
            is_baseline=next(iter(members.values()))[0].is_baseline,
        )
        for name, members in found.items()
    ]


def _baseline(contenders: Sequence[Named], wanted: str | None) -> Named:
    if len(contenders) < 2:
        raise UserError("a comparison needs two variants; only one is left of what was named")
    if wanted is None:
        return next((one for one in contenders if one.is_baseline), contenders[0])
    found = [one for one in contenders if wanted == one.name] or [one for one in contenders if wanted == one.variant]
    if len(found) != 1:
        names = [one.name for one in contenders]
        hint = f"it stands for {len(found)}: {', '.join(one.name for one in found)}" if found else ""
        raise UnknownNameError(f"--baseline: no single variant '{wanted}'; {hint or did_you_mean(wanted, names)}")
    return found[0]


def _score(one: Named, seed: int) -> dict[str, Any]:
    entry = one.entry(seed)
    mean = entry.pop("mean")
    return {"name": one.name, "metric": one.mean.metric, "score": mean, **entry, "runs": len(one.runs)}


def _compared(one: Named, base: Named, metric: str, seed: int, method: Method) -> list[dict[str, Any]]:
    head = {"variant": one.name, "baseline": base.name, "metric": one.mean.metric if metric == "across" else metric}
    entry = compared(one, base, seed, method=method)
    if entry is None:
        raise UserError(f"{one.name} and {base.name} have no prompt in common: they are of different benchmarks")
    return [{**head, **entry, "runs": [len(one.runs), len(base.runs)]}]


def _by_group(one: Named, base: Named, metric: str, seed: int) -> list[dict[str, Any]]:
    found = []
    for group in dict.fromkeys(name for prompt in one.mean.prompts for name in prompt.groups):
        parts = [_part(each, group) for each in (one, base)]
        if all(observed(part.mean) for part in parts):
            found += [{"group": group, **row} for row in _compared(parts[0], parts[1], metric, seed, "percentile")]
    return found


def _part(one: Named, group: str) -> Named:
    def within(prompts: Sequence[PromptScore]) -> tuple[PromptScore, ...]:
        return tuple(prompt for prompt in prompts if group in prompt.groups)

    runs = {
        run: attrs.evolve(summary, prompts=within(summary.prompts), group_mean=False)
        for run, summary in one.runs.items()
    }
    return attrs.evolve(one, runs=runs)

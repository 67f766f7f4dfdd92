"""Stored observations by name: an artifact's folder or fingerprint, a run, one variant or stage of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from selma_core.artifacts.scores import ATOMS, ScoreTable, read_scores
from selma_core.catalog import Catalog
from selma_core.data import Summary
from selma_core.errors import UnknownNameError, UserError, did_you_mean
from selma_core.offers import Offer
from selma_core.protocols import Evaluator
from selma_core.rescoring import rescore, scoring_evaluator, unanswered
from selma_core.scoring import score_entry
from selma_core.store import Store
from selma_core.store.manifest import MANIFEST, read_manifest
from selma_core.stored_runs import Stage, StoredRun, artifact_of, by_fingerprint, choose, find_run, open_run, variant_in


@attrs.frozen(kw_only=True)
class StoredScores:
    """The observations of one evaluator stage.

    Attributes:
        name: what tables show: `RUN:variant`, or the folder as given. variant: "" for a folder.
        run: id of the run, or "". folder: the artifact. table: what was observed.
        evaluator: for `score` and `aggregate` alone. seed: of the run, for intervals.
        rule: what the run's recipe reports, or None. is_baseline: whether the recipe compares the others with it.
    """

    name: str
    variant: str
    run: str
    folder: Path
    table: ScoreTable
    evaluator: Evaluator
    seed: int = 0
    rule: str | None = None
    is_baseline: bool = False

    def summary(self, rule: str | None = None) -> Summary:
        """The metric under a rule; default that of the run's recipe, else the one it was stored with."""
        return rescore(self.evaluator, self.table, rule or self.rule)

    def to_json(self, rule: str | None = None) -> dict[str, Any]:
        """One entry of `selma score --json`."""
        summary = self.summary(rule)
        entry = score_entry(summary, self.seed)
        return {
            "name": self.name,
            "metric": summary.metric,
            "score": entry.pop("mean"),
            **entry,
            "by_group": dict(summary.groups),
            "by_category": dict(summary.categories),
            "n_answers": summary.n_atoms,
            "missing_prompts": unanswered(summary),
        }


def open_scores(text: str, store: Store, catalog: Catalog) -> tuple[StoredScores, ...]:
    """The score tables that a name stands for; all of a run's when only the run is named.

    Args:
        text: a folder of scores or of a run; a fingerprint (its first 8 digits will do); a run's id or `latest`, alone
            or with `:variant` or `:stage` (`RUN:merged`, `RUN:score[merged]`).

    Raises:
        UserError: nothing is stored under that name; says what is.
    """
    folder = Path(text)
    if (folder / ATOMS).is_file():
        return (_open(text, folder, catalog),)
    if (folder / "run.json").is_file():
        return _of_run(open_run(folder), "", store, catalog)
    if folder.is_dir():
        raise UserError(f"{text}: holds neither scores ({ATOMS}) nor a run (run.json)")
    found = by_fingerprint(text, store)
    if found is not None:
        return (_open(text[:12], found, catalog),)
    run, _, wanted = text.partition(":")
    return _of_run(find_run(run, store, "a folder of scores"), wanted, store, catalog)


def _of_run(run: StoredRun, wanted: str, store: Store, catalog: Catalog) -> tuple[StoredScores, ...]:
    stages = run.stages("evaluator")
    chosen = choose(stages, wanted) if wanted else _reported(stages, run)
    if wanted and not chosen:
        known = [variant_in(stage["id"]) for stage in stages]
        raise UnknownNameError(f"run {run.id} has no scores of '{wanted}'; {did_you_mean(wanted, known)}")
    if not chosen:
        raise UserError(f"run {run.id} has no scores")
    found = []
    for stage in chosen:
        place = artifact_of(stage, store, ATOMS)
        if place is None:
            if wanted:
                raise UserError(f"run {run.id}: {stage['id']} is not in the store {store.root}")
            continue
        variant = variant_in(stage["id"])
        opened = _open(f"{run.id}:{variant}", place, catalog)
        more = attrs.evolve(opened, variant=variant, run=run.id, seed=run.seed, rule=run.said("rule"))
        found.append(attrs.evolve(more, is_baseline=variant == run.said("baseline")))
    return tuple(found)


def _reported(stages: Sequence[Stage], run: StoredRun) -> list[Stage]:
    """The evaluator stages that the recipe's report names, else all."""
    named = run.report.get("scores") or []
    labels = [named] if isinstance(named, str) else list(named)
    return [stage for stage in stages if not labels or stage["id"].partition("[")[0] in labels]


def _open(name: str, folder: Path, catalog: Catalog) -> StoredScores:
    table = read_scores(folder)
    plugin, options = table.info.name, {}
    if (folder / MANIFEST).is_file():
        manifest = read_manifest(folder)
        plugin, options = f"{manifest.provider}/{manifest.plugin}", dict(manifest.payload.get("options") or {})
    evaluator = scoring_evaluator(_offer(plugin, folder, catalog), options, catalog)
    return StoredScores(name=name, variant="", run="", folder=folder, table=table, evaluator=evaluator)


def _offer(plugin: str, folder: Path, catalog: Catalog) -> Offer:
    try:
        return catalog.find("evaluator", plugin)
    except UnknownNameError:
        file = plugin.rpartition("/")[0]
        if not file.endswith(".py"):
            raise
        raise UserError(
            f"{folder}: was observed by the single-file plugin {file}; add --plugin with its path"
        ) from None

"""Stored observations by name: an artifact's folder or fingerprint, a run, one variant or stage of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from selma_core.artifacts.scores import ATOMS, ScoreTable, read_scores
from selma_core.catalog import Catalog
from selma_core.data import Summary
from selma_core.errors import ArtifactError, UnknownNameError, UserError, did_you_mean
from selma_core.offers import Offer
from selma_core.protocols import Evaluator
from selma_core.rescoring import rescore, scoring_evaluator, unanswered
from selma_core.scoring import score_entry
from selma_core.store import Store
from selma_core.store.gc import runs
from selma_core.store.manifest import MANIFEST, read_manifest

LATEST = "latest"
_SHORTEST = 8  # digits of a fingerprint


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
        return _of_run(folder, "", store, catalog)
    if folder.is_dir():
        raise UserError(f"{text}: holds neither scores ({ATOMS}) nor a run (run.json)")
    found = [name for name in store.fingerprints() if len(text) >= _SHORTEST and name.startswith(text)]
    if len(found) == 1:
        return (_open(text[:12], store.artifact(found[0]), catalog),)
    run, _, wanted = text.partition(":")
    return _of_run(store.run_folder(find_run(run, store)), wanted, store, catalog)


def find_run(name: str, store: Store) -> str:
    """The id of a run: as given, or the last one for `latest`.

    Raises:
        UnknownNameError: there is no such run; names those there are.
    """
    known = runs(store)
    if name == LATEST and known:
        return known[-1]
    if name not in known:
        recent = [*known[-5:], LATEST] if known else []
        hint = did_you_mean(name, recent) if recent else "there are no runs; give --store or a folder of scores"
        raise UnknownNameError(f"no run '{name}' in {store.root}; {hint}")
    return name


def _of_run(folder: Path, wanted: str, store: Store, catalog: Catalog) -> tuple[StoredScores, ...]:
    try:
        record: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        stages = [stage for stage in record["stages"] if stage["kind"] == "evaluator"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{folder / 'run.json'}: is no record of a run ({type(error).__name__})") from None
    chosen = _chosen(stages, wanted, folder.name) if wanted else _reported(stages, record)
    if not chosen:
        raise UserError(f"run {folder.name} has no scores")
    found = []
    for stage in chosen:
        place = _artifact(stage, store)
        if place is None:
            if wanted:
                raise UserError(f"run {folder.name}: {stage['id']} is not in the store {store.root}")
            continue
        variant = variant_in(stage["id"])
        opened = _open(f"{folder.name}:{variant}", place, catalog)
        more = attrs.evolve(opened, variant=variant, run=folder.name, seed=_seed(record), rule=_rule(record))
        found.append(attrs.evolve(more, is_baseline=variant == _baseline(record)))
    return tuple(found)


def variant_in(stage_id: str) -> str:
    """`score[merged]` -> `merged`; `score` -> `score`; `linear:score[merged]`, of an ablation -> `linear:merged`."""
    head, colon, rest = stage_id.rpartition(":")
    label, bracket, axes = rest.partition("[")
    return head + colon + (axes.removesuffix("]") if bracket else label)


def _names(stage_id: str) -> tuple[str, ...]:
    """All that one may call a stage of a run by."""
    head, _, rest = stage_id.rpartition(":")
    return tuple(filter(None, (stage_id, variant_in(stage_id), rest.partition("[")[0], head)))


def _chosen(stages: Sequence[Mapping[str, Any]], wanted: str, run: str) -> list[Mapping[str, Any]]:
    for exact in (True, False):  # a whole name before a label, which several stages may share
        places = slice(0, 2) if exact else slice(0, None)
        found = [stage for stage in stages if wanted in _names(stage["id"])[places]]
        if found:
            return found
    known = [variant_in(stage["id"]) for stage in stages]
    raise UnknownNameError(f"run {run} has no scores of '{wanted}'; {did_you_mean(wanted, known)}")


def _reported(stages: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The evaluator stages that the recipe's report names, else all."""
    named = _report(record).get("scores") or []
    labels = [named] if isinstance(named, str) else list(named)
    return [stage for stage in stages if not labels or stage["id"].partition("[")[0] in labels]


def _report(record: Mapping[str, Any]) -> Mapping[str, Any]:
    config = record.get("config")
    report = config.get("report") if isinstance(config, Mapping) else None
    return report if isinstance(report, Mapping) else {}


def _rule(record: Mapping[str, Any]) -> str | None:
    rule = _report(record).get("rule")
    return rule if isinstance(rule, str) else None


def _baseline(record: Mapping[str, Any]) -> str | None:
    baseline = _report(record).get("baseline")
    return baseline if isinstance(baseline, str) else None


def _seed(record: Mapping[str, Any]) -> int:
    seed = record.get("seed")
    return seed if isinstance(seed, int) else 0


def _artifact(stage: Mapping[str, Any], store: Store) -> Path | None:
    """In this store, or where the run wrote it; None for a stage that failed, or that `store gc` removed."""
    places = [store.artifact(str(stage["fingerprint"])), *([Path(stage["artifact"])] if stage.get("artifact") else [])]
    return next((place for place in places if (place / ATOMS).is_file()), None)


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

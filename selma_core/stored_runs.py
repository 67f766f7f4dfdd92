"""Runs of a store by name, and their stages by what people call them: `latest`, `RUN:merged`, `RUN:sample[merged]`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from selma_core.errors import ArtifactError, UnknownNameError, did_you_mean
from selma_core.store import Store
from selma_core.store.gc import runs

LATEST = "latest"
SHORTEST = 8
"""Digits of a fingerprint that will do for its name."""
Stage = Mapping[str, Any]


@attrs.frozen(kw_only=True)
class StoredRun:
    """What a run wrote of itself. Attributes: id = its folder's name; record = its `run.json`."""

    id: str
    record: Mapping[str, Any]

    @property
    def report(self) -> Mapping[str, Any]:
        """The recipe's `report`."""
        config = self.record.get("config")
        report = config.get("report") if isinstance(config, Mapping) else None
        return report if isinstance(report, Mapping) else {}

    @property
    def seed(self) -> int:
        """Of the run."""
        seed = self.record.get("seed")
        return seed if isinstance(seed, int) else 0

    def said(self, key: str) -> str | None:
        """A text of the report, like `rule` or `baseline`."""
        value = self.report.get(key)
        return value if isinstance(value, str) else None

    def stages(self, *kinds: str) -> list[Stage]:
        """Those of some kinds, in the recipe's order.

        Raises:
            ArtifactError: the record is none.
        """
        try:
            return [stage for stage in self.record["stages"] if stage["kind"] in kinds]
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{self.id}/run.json: is no record of a run ({type(error).__name__})") from None


def open_run(folder: Path) -> StoredRun:
    """The run of a folder.

    Raises:
        ArtifactError: its `run.json` cannot be read.
    """
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise TypeError
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(f"{folder / 'run.json'}: is no record of a run ({type(error).__name__})") from None
    return StoredRun(id=folder.name, record=record)


def find_run(name: str, store: Store, instead: str) -> StoredRun:
    """The run of an id, or the `latest`.

    Args:
        instead: what one may give where there are no runs ("a folder of scores").

    Raises:
        UnknownNameError: with the nearest id. ArtifactError: as `open_run`.
    """
    known = runs(store)
    if name == LATEST and known:
        return open_run(store.run_folder(known[-1]))
    if name not in known:
        recent = [*known[-5:], LATEST] if known else []
        hint = did_you_mean(name, recent) if recent else f"there are no runs; give --store or {instead}"
        raise UnknownNameError(f"no run '{name}' in {store.root}; {hint}")
    return open_run(store.run_folder(name))


def variant_in(stage_id: str) -> str:
    """`score[merged]` -> `merged`; `score` -> `score`; `linear:score[merged]`, of an ablation -> `linear:merged`."""
    head, colon, rest = stage_id.rpartition(":")
    label, bracket, axes = rest.partition("[")
    return head + colon + (axes.removesuffix("]") if bracket else label)


def choose(stages: Sequence[Stage], wanted: str) -> list[Stage]:
    """The stages that a name stands for: a whole name (id, variant) before a label, which several may share."""
    for exact in (True, False):
        places = slice(0, 2) if exact else slice(0, None)
        found = [stage for stage in stages if wanted in _names(stage["id"])[places]]
        if found:
            return found
    return []


def by_fingerprint(text: str, store: Store) -> Path | None:
    """The artifact whose fingerprint begins so, if there is one."""
    found = [name for name in store.fingerprints() if len(text) >= SHORTEST and name.startswith(text)]
    return store.artifact(found[0]) if len(found) == 1 else None


def artifact_of(stage: Stage, store: Store, file: str) -> Path | None:
    """Where a stage's `file` is: in this store, or where the run wrote it; None if it failed or `store gc` took it."""
    places = [store.artifact(str(stage["fingerprint"])), *([Path(stage["artifact"])] if stage.get("artifact") else [])]
    return next((place for place in places if (place / file).is_file()), None)


def _names(stage_id: str) -> tuple[str, ...]:
    """All that one may call a stage of a run by."""
    head, _, rest = stage_id.rpartition(":")
    return tuple(filter(None, (stage_id, variant_in(stage_id), rest.partition("[")[0], head)))

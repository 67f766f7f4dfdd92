"""Which adapter is meant, and what the store knows of where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from selma_core.artifacts.adapter import adapter_file
from selma_core.artifacts.lora_manifest import read_manifest as header_manifest
from selma_core.artifacts.lora_reader import read_layers
from selma_core.errors import ArtifactError, UnknownNameError, UserError, did_you_mean
from selma_core.export.stored import read_record
from selma_core.files import sha256_file
from selma_core.store import Store
from selma_core.store.gc import run_fingerprints, runs
from selma_core.store.manifest import Manifest

MAKERS = ("adapter_trainer", "merge_strategy")
_SHORTEST = 8  # digits of a fingerprint


@attrs.frozen(kw_only=True)
class Subject:
    """An adapter.

    Attributes:
        path: its file or folder. fingerprint: of the stage that made it, "" when it is of no stage of this store.
        sha256: of its file, "" for a folder of another program. said: what its header says of itself.
        record: the `run.json` that names it, empty without one. stage: its id there.
    """

    path: Path
    fingerprint: str
    sha256: str
    said: Mapping[str, Any]
    record: Mapping[str, Any] = attrs.field(factory=dict)
    stage: str = ""


def find_subject(name: str, store: Store, run: str | None = None) -> Subject:
    """The adapter that a name stands for.

    Args:
        name: a LoRA file or folder; `RUN:STAGE` (`latest:merge`), with `run` a stage alone; a fingerprint.
        run: only what this run did counts; None = the last run that names the adapter.

    Raises:
        UserError: nothing of that name, or a stage that makes no adapter. ArtifactError: a file that is no LoRA.
    """
    record = None if run is None else read_record(run, store)
    if Path(name).exists():
        return _of_path(Path(name), store, record)
    if record is not None:
        return _of_stage(name, record, store)
    found = [one for one in store.fingerprints() if len(name) >= _SHORTEST and one.startswith(name)]
    if len(found) == 1:
        return _stored(found[0], store, None)
    head, colon, stage = name.partition(":")
    if not colon:
        raise UserError(f"{name}: no such file; a stage is written RUN:STAGE, like latest:merge")
    return _of_stage(stage, read_record(head, store), store)


def ancestors(fingerprint: str, store: Store) -> Iterator[Manifest]:
    """The manifests of a stage and of all it was made from, inputs first; those that left the store are absent."""
    seen: set[str] = set()

    def walk(name: str) -> Iterator[Manifest]:
        if name in seen:
            return
        seen.add(name)
        try:
            manifest = store.manifest(name)
        except ArtifactError:
            return
        for names in manifest.inputs.values():
            for one in names:
                yield from walk(one)
        yield manifest

    yield from walk(fingerprint)


def recipe_of(node: str, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The resolved recipe of a stage: a run's, or that of the variant in an ablation (`ties:merge`)."""
    config: Mapping[str, Any] = record.get("config") or {}
    return config if "stages" in config else config.get(node.partition(":")[0]) or {}


def _of_path(path: Path, store: Store, record: Mapping[str, Any] | None) -> Subject:
    reader = read_layers(path)
    own = {sha256_file(file) for file in reader.files}
    for manifest in store.manifests():
        if manifest.kind in MAKERS and own & {file.sha256 for file in manifest.files.values()}:
            return attrs.evolve(_stored(manifest.fingerprint, store, record), path=path)
    sha256 = next(iter(own)) if len(own) == 1 else ""
    return Subject(path=path, fingerprint="", sha256=sha256, said=header_manifest(reader.metadata))


def _of_stage(stage: str, record: Mapping[str, Any], store: Store) -> Subject:
    stages = {one["id"]: one for one in record.get("stages") or () if one["kind"] in MAKERS}
    if stage not in stages:
        raise UnknownNameError(f"run {record['run']} has no adapter '{stage}'; {did_you_mean(stage, stages)}")
    fingerprint = stages[stage]["fingerprint"]
    if not store.has(fingerprint):
        raise UserError(
            f"run {record['run']}: {stage} is not in the store {store.root}: it failed, or was removed since"
        )
    return _stored(fingerprint, store, record)


def _stored(fingerprint: str, store: Store, record: Mapping[str, Any] | None) -> Subject:
    manifest = store.manifest(fingerprint)
    if manifest.kind not in MAKERS:
        raise UserError(f"{manifest.label} ({fingerprint[:12]}) is a {manifest.kind} and makes no adapter")
    file = adapter_file(store.artifact(fingerprint))
    record = record or _last_run(fingerprint, store)
    stage = next((one["id"] for one in record.get("stages") or () if one["fingerprint"] == fingerprint), "")
    said = header_manifest(read_layers(file).metadata)
    return Subject(path=file, fingerprint=fingerprint, sha256=sha256_file(file), said=said, record=record, stage=stage)


def _last_run(fingerprint: str, store: Store) -> Mapping[str, Any]:
    for run in reversed(runs(store)):
        if fingerprint in run_fingerprints(store, run):
            return read_record(run, store)
    return {}

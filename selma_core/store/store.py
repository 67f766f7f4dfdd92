"""The store on disk; see docs/explanation/architecture.md for its layout."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

from selma_core.errors import ArtifactError
from selma_core.files import make_folder, sha256_file, sync_folder, sync_path, write_json, writing
from selma_core.store.locks import locked
from selma_core.store.manifest import MANIFEST, Manifest, read_manifest

Status = Literal["absent", "hit", "suspect"]


def default_store() -> Path:
    """`$SELMA_STORE`, else `selma-store` in the current folder."""
    return Path(os.environ.get("SELMA_STORE") or "selma-store")


class Store:
    """A folder of artifacts. Making the object touches nothing; reading an absent store finds it empty."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()

    def artifact(self, fingerprint: str) -> Path:
        """Where an artifact is, or would be."""
        return self.root / "artifacts" / fingerprint[:2] / fingerprint

    def work(self, fingerprint: str) -> Path:
        """Where the unfinished work of a stage is: `out/` becomes the artifact, `scratch/` is for resuming."""
        return self.root / "work" / fingerprint

    def lock_file(self, name: str) -> Path:
        """The lock file of a fingerprint or of a run id."""
        return self.root / "locks" / f"{name}.lock"

    def run_folder(self, run_id: str) -> Path:
        """Where a run keeps `run.json` and `report.html`."""
        return self.root / "runs" / run_id

    def lock(self, fingerprint: str, on_wait: Callable[[], None] = lambda: None) -> AbstractContextManager[None]:
        """Holds the lock of a fingerprint; waits while another process has it."""
        return locked(self.lock_file(fingerprint), on_wait)

    def has(self, fingerprint: str) -> bool:
        """Whether the artifact is complete (see `status`)."""
        return self.status(fingerprint) == "hit"

    def status(self, fingerprint: str) -> Status:
        """`hit` when stored with every file present in its size, `suspect` when stored but not so; no hashing."""
        folder = self.artifact(fingerprint)
        if not folder.exists():
            return "absent"
        return "suspect" if any(self.damage(fingerprint, full=False)) else "hit"

    def damage(self, fingerprint: str, *, full: bool) -> Iterator[str]:
        """One line per file of an artifact that is not as stored; `full` compares hashes, not only sizes."""
        folder = self.artifact(fingerprint)
        try:
            manifest = read_manifest(folder)
        except ArtifactError as error:
            yield str(error)
            return
        if manifest.fingerprint != fingerprint:
            yield f"{folder / MANIFEST}: is of another artifact ({manifest.fingerprint[:12]})"
        for name, stored in manifest.files.items():
            path = folder / name
            if not path.is_file():
                yield f"{path}: is missing"
            elif path.stat().st_size != stored.size:
                yield f"{path}: has {path.stat().st_size} bytes, {stored.size} were stored"
            elif full and sha256_file(path) != stored.sha256:
                yield f"{path}: is not what was stored (sha256 differs)"

    def manifest(self, fingerprint: str) -> Manifest:
        """The manifest of a stored artifact.

        Raises:
            ArtifactError: when there is none, or it is broken.
        """
        return read_manifest(self.artifact(fingerprint))

    def prepare(self, fingerprint: str) -> tuple[Path, Path]:
        """The folders `out` and `scratch` of a stage, with whatever an earlier attempt left in them."""
        work = self.work(fingerprint)
        return make_folder(work / "out"), make_folder(work / "scratch")

    def commit(self, manifest: Manifest) -> Path:
        """Turns the work folder's `out` into the artifact: manifest, fsync, rename; then drops the work folder.

        Raises:
            StoreError: when the disk is full; the work stays and the next run goes on from it.
        """
        work, target = self.work(manifest.fingerprint), self.artifact(manifest.fingerprint)
        out = work / "out"
        write_json(out / MANIFEST, manifest.to_json())
        sync_folder(out)
        make_folder(target.parent)
        with writing(target):
            if target.exists():  # a suspect one: it leaves only once its successor is complete
                shutil.rmtree(work / "replaced", ignore_errors=True)
                target.rename(work / "replaced")
            out.rename(target)
        sync_path(target.parent)
        shutil.rmtree(work, ignore_errors=True)
        return target

    def remove(self, fingerprint: str) -> None:
        """Removes an artifact; the manifest goes first, so that a kill leaves no artifact that looks whole."""
        folder = self.artifact(fingerprint)
        with writing(folder):
            (folder / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(folder)

    def fingerprints(self) -> list[str]:
        """Every stored fingerprint, sorted."""
        return sorted(path.name for path in self.root.glob("artifacts/??/*") if path.is_dir())

    def unfinished(self) -> list[str]:
        """Every fingerprint with unfinished work, sorted."""
        return sorted(path.name for path in self.root.glob("work/*") if path.is_dir())

    def manifests(self) -> Iterator[Manifest]:
        """The readable manifests, in the order of their fingerprints."""
        for fingerprint in self.fingerprints():
            try:
                yield self.manifest(fingerprint)
            except ArtifactError:
                continue

    def write_run(self, run_id: str, record: Mapping[str, Any]) -> Path:
        """Writes `run.json` of a run."""
        path = make_folder(self.run_folder(run_id)) / "run.json"
        write_json(path, record)
        return path

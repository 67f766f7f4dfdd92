"""The store: complete or absent, damage is seen, garbage goes, what is in use stays."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from selma_core.errors import ArtifactError, StoreError
from selma_core.result import Run
from selma_core.store import Manifest, Store, default_store
from selma_core.store.gc import collect, garbage, runs
from selma_core.store.locks import try_lock
from selma_core.store.manifest import hash_files

PRINT = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def make(store: Store, fingerprint: str = PRINT, text: str = "hello") -> Path:
    out, scratch = store.prepare(fingerprint)
    (out / "sub").mkdir(exist_ok=True)
    (out / "data.txt").write_text(text)
    (out / "sub" / "more.txt").write_text("more")
    (scratch / "state").write_text("half")
    return store.commit(
        Manifest(
            fingerprint=fingerprint,
            payload={"kind": "merge_strategy", "options": {"x": 1}},
            label="merge",
            kind="merge_strategy",
            plugin="p",
            provider="selma",
            version="1",
            inputs={"adapters": ("c" * 64,)},
            seconds=1.5,
            files=hash_files(out),
            warnings=("careful",),
        )
    )


def test_an_artifact_is_complete_or_absent(store: Store) -> None:
    assert store.status(PRINT) == "absent"
    out, _ = store.prepare(PRINT)
    (out / "data.txt").write_text("half")
    assert store.status(PRINT) == "absent"
    folder = make(store)
    assert store.status(PRINT) == "hit"
    assert folder == store.root / "artifacts" / "ab" / PRINT
    assert not store.work(PRINT).exists()


def test_the_manifest_says_all_and_comes_back(store: Store) -> None:
    make(store)
    manifest = store.manifest(PRINT)
    assert manifest.files["sub/more.txt"].size == 4
    assert manifest.inputs == {"adapters": ("c" * 64,)}
    assert {"torch", "numpy", "selma"} <= set(manifest.libraries)
    raw = json.loads((store.artifact(PRINT) / "manifest.json").read_text())
    assert raw["schema"] == 1
    assert set(raw) >= {"payload", "created", "seconds", "python", "platform", "warnings", "provider", "version"}


@pytest.mark.parametrize(
    ("spoil", "status", "words"),
    [
        (lambda f: (f / "data.txt").unlink(), "suspect", "data.txt: is missing"),
        (lambda f: (f / "data.txt").write_text("longer than before"), "suspect", "has 18 bytes, 5 were stored"),
        (lambda f: (f / "data.txt").write_text("jello"), "hit", "is not what was stored"),
        (lambda f: (f / "manifest.json").write_text("{}"), "suspect", "is no manifest"),
        (lambda f: (f / "manifest.json").unlink(), "suspect", "no such file"),
    ],
)
def test_damage_is_seen(store: Store, spoil: Callable[[Path], None], status: str, words: str) -> None:
    spoil(make(store))
    assert store.status(PRINT) == status
    assert words in "\n".join(store.damage(PRINT, full=True))


def test_a_manifest_of_another_version_is_refused(store: Store) -> None:
    path = make(store) / "manifest.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 99'))
    with pytest.raises(ArtifactError, match="another version"):
        store.manifest(PRINT)


def test_a_suspect_artifact_is_replaced(store: Store) -> None:
    (make(store) / "data.txt").unlink()
    make(store, text="again")
    assert store.status(PRINT) == "hit"
    assert (store.artifact(PRINT) / "data.txt").read_text() == "again"
    assert not store.work(PRINT).exists()


def test_the_default_store(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_store() == Path("selma-store")
    monkeypatch.setenv("SELMA_STORE", "/elsewhere")
    assert default_store() == Path("/elsewhere")


def test_the_lock_of_a_killed_process_is_free(store: Store) -> None:
    path = store.lock_file(PRINT)
    code = f"""
import sys, time
from pathlib import Path
from selma_core.store.locks import locked
with locked(Path({str(path)!r})):
    print("held", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with try_lock(path) as free:
            assert not free
        process.kill()
    with try_lock(path) as free:
        assert free


def test_gc_keeps_what_the_last_runs_refer_to(start: Callable[..., Run], folder: Path) -> None:
    first = start("light")
    start("light", ["stages.images.options.shade=3"])
    store = Store(folder / "store")
    prompts = first.node("prompts").fingerprint
    gone = {first.node(name).fingerprint for name in ("images", "score", "best")}
    assert {item.fingerprint for item in garbage(store, 1)} == gone
    assert garbage(store, 2) == []
    assert len(store.fingerprints()) == 7
    assert {item.fingerprint for item in collect(store, 1)} == gone
    assert prompts in store.fingerprints()
    assert len(store.fingerprints()) == 4


def test_runs_of_one_second_are_in_the_order_they_were_made(store: Store) -> None:
    made = [f"20250131-235959-shapes-{tail}" for tail in ("ffff", "0000", "8888")]
    for name in [*made, "20250131-235958-zebra-0000"]:
        store.write_run(name, {"stages": []})
    assert runs(store) == ["20250131-235958-zebra-0000", *made]


def test_gc_spares_what_is_locked_and_what_a_running_run_needs(start: Callable[..., Run], folder: Path) -> None:
    run = start("light")
    store = Store(folder / "store")
    with store.lock(run.run_id):
        assert collect(store, 0) == []
    locked = run.node("images").fingerprint
    with store.lock(locked):
        collect(store, 0)
    assert store.fingerprints() == [locked]


def test_gc_removes_unfinished_work_only_when_no_run_wants_it(store: Store) -> None:
    store.prepare(PRINT)
    store.write_run("20250101-000000-x-0000", {"stages": [{"fingerprint": PRINT}]})
    assert garbage(store, 1) == []
    store.write_run("20250102-000000-x-0000", {"stages": []})
    assert runs(store) == ["20250101-000000-x-0000", "20250102-000000-x-0000"]
    (item,) = collect(store, 1)
    assert item.unfinished
    assert store.unfinished() == []


def test_no_permission_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "closed"))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError, match=r"cannot write .*/closed: permission denied; choose another folder"):
        Store(tmp_path / "closed").prepare(PRINT)


def test_a_file_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="a file is in the way"):
        Store(tmp_path / "file").prepare(PRINT)

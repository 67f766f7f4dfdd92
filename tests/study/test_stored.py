"""Images for a study by the name of a run's variant or stage, and what is said where there are none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
FINGERPRINTS = {"sample[base]": "b" * 64, "sample[merged]": "a" * 64, "other[merged]": "c" * 64, "lost[x]": "d" * 64}


@pytest.fixture
def store(tmp_path: Path, sets: dict[str, Path]) -> Path:
    """A store with one run: `a` is merged's images, `b` the base's; those of stage `lost` are gone."""
    root = tmp_path / "store"
    stages = [{"id": "score[merged]", "kind": "evaluator", "fingerprint": "e" * 64}]
    for name, fingerprint in FINGERPRINTS.items():
        stages.append({"id": name, "kind": "image_generator", "fingerprint": fingerprint})
        folder = root / "artifacts" / fingerprint[:2] / fingerprint
        if not name.startswith("lost"):
            shutil.copytree(sets["b" if "base" in name else "a"], folder)
            (folder / "manifest.json").write_text("{}")
    run = root / "runs" / "20260101-000000-demo"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"status": "done", "stages": stages}))
    return root


@pytest.mark.parametrize("first", ["latest:sample[merged]", "20260101-000000-demo:sample[merged]", "a" * 12])
def test_a_run_or_a_fingerprint_gives_the_images(call: Call, store: Path, tmp_path: Path, first: str) -> None:
    done = call(*("study", "export", first, "latest:base", "--out", tmp_path / "s", "--store", store, "--json"))
    assert done["pairs"] == 10
    key = json.loads(Path(done["key"]).read_text())
    assert (key["a"], key["b"]) == (first, "latest:base")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("latest:bsae", "has no images of 'bsae'; did you mean 'base'"),
        ("latest:merged", "'merged' stands for 2 sets of images: sample[merged], other[merged]; name one"),
        ("latest:lost[x]", "lost[x] is not in the store"),
        ("latset:base", "did you mean 'latest'"),
        ("nowhere", "nowhere: no such folder; give one, or RUN:VARIANT such as latest:merged"),
    ],
)
def test_what_is_not_there_is_named(call: Call, store: Path, tmp_path: Path, name: str, said: str) -> None:
    line = call("study", "export", name, "latest:base", "--out", tmp_path / "s", "--store", store, code=2)
    assert said in line
    assert not (tmp_path / "s").exists()

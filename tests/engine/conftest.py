"""A small SELMA over fake plugins: same graph as the real one, done in a second."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from selma_core.engine import run
from selma_core.result import Run
from selma_core.session import Session, open_session
from selma_core.store import Store

FAKES = Path(__file__).with_name("fakes.py")

RECIPE: dict = {
    "summary": "fakes",
    "axes": {
        "skill": ["count", "general"],
        "variant": {
            "base": {},
            "expert_{skill}": {"sample": {"from": {"adapter": "expert[{skill}]"}}},
            "merged": {"sample": {"from": {"adapter": "merge"}}},
        },
    },
    "stages": {
        "prompts": {"kind": "prompt_source", "use": "fake_prompts", "foreach": "skill", "options": {"skill": "{skill}"}},
        "images": {"kind": "image_generator", "use": "fake_images", "foreach": "skill", "from": {"prompts": "prompts"}},
        "expert": {"kind": "adapter_trainer", "use": "fake_train", "foreach": "skill", "from": {"images": "images"}},
        "merge": {"kind": "merge_strategy", "use": "fake_merge", "from": {"adapters": "expert"}},
        "bench": {"kind": "prompt_source", "use": "fake_prompts", "options": {"n": 6}},
        "sample": {
            "kind": "image_generator",
            "use": "fake_images",
            "foreach": "variant",
            "from": {"prompts": "bench"},
            "options": {"k": 2},
        },
        "score": {"kind": "evaluator", "use": "fake_light", "foreach": "variant", "from": {"images": "sample"}},
    },
    "plugins": {"files": ["fakes.py"]},
    "report": {"scores": "score", "baseline": "base", "headline": "light", "compare": [["merged", "base"], ["merged", "experts"]]},
}

# Without adapters, so without torch.
LIGHT: dict = {
    "stages": {
        "prompts": {"kind": "prompt_source", "use": "fake_prompts", "options": {"n": 5}},
        "images": {"kind": "image_generator", "use": "fake_images", "from": {"prompts": "prompts"}, "options": {"k": 2}},
        "score": {"kind": "evaluator", "use": "fake_light", "from": {"images": "images"}},
        "best": {"kind": "selector", "use": "fake_first", "from": {"images": "images", "scores": "score"}},
    },
    "plugins": {"files": ["fakes.py"]},
}


@pytest.fixture(autouse=True)
def only_executors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is tested without the bundled methods."""
    monkeypatch.setenv("SELMA_PLUGINS", "execution")
    for name in ("FAKE_LOG", "FAKE_STOP", "FAKE_FAIL", "FAKE_SLEEP", "FAKE_TRACK", "SELMA_STORE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with both recipes and the plugin file beside them."""
    shutil.copy(FAKES, tmp_path / "fakes.py")
    write_recipe(tmp_path / "selma.yaml", RECIPE)
    write_recipe(tmp_path / "light.yaml", LIGHT)
    return tmp_path


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The work done since the last call, as `stage what`."""
    path = tmp_path / "log.txt"
    monkeypatch.setenv("FAKE_LOG", str(path))

    def read() -> list[str]:
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line.rsplit(" ", 1)[0] for line in lines]

    return read


@pytest.fixture
def start(folder: Path) -> Callable[..., Run]:
    """Runs a recipe of the folder on the folder's store."""

    def start(recipe: str = "light", overrides: Sequence[str] = (), store: str = "store", **more: object) -> Run:
        return run(folder / f"{recipe}.yaml", overrides, store=folder / store, **more)  # type: ignore[arg-type]

    return start


@pytest.fixture
def session(folder: Path) -> Callable[..., Session]:
    """Opens a recipe of the folder."""

    def session(recipe: str = "light", overrides: Sequence[str] = (), store: str = "store", **more: object) -> Session:
        return open_session(folder / f"{recipe}.yaml", overrides, store=folder / store, **more)  # type: ignore[arg-type]

    return session


def write_recipe(path: Path, data: dict) -> None:
    """Writes a recipe as YAML."""
    path.write_text(yaml.safe_dump(data, sort_keys=False))


def contents(store: Store | Path) -> dict[str, bytes]:
    """Every artifact file but the manifests (they hold times), by path in the store."""
    root = store.root if isinstance(store, Store) else store
    paths = [path for path in (root / "artifacts").rglob("*") if path.is_file() and path.name != "manifest.json"]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}

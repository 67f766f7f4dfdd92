"""A small recipe over the fake plugins, with a tracker switched on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from selma_core.engine import run
from selma_core.result import Run
from tests.engine.kit import FAKES, LIGHT, RECIPE, write_recipe

ABLATION = {"recipe": "selma.yaml", "variants": {"one": [], "half": ["stages.merge.options.scale=0.5"]}}


@pytest.fixture(autouse=True)
def only_trackers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No fake plugin misbehaves, and nothing is sent anywhere."""
    monkeypatch.setenv("SELMA_PLUGINS", "execution,trackers")
    for name in ("FAKE_LOG", "FAKE_STOP", "FAKE_FAIL", "FAKE_SLEEP", "FAKE_TRACK", "SELMA_STORE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the recipe, the plugin file beside it, and an ablation."""
    shutil.copy(FAKES, tmp_path / "fakes.py")
    secret = {"use": "fake_judge", "options": {"api_key_env": "KEY"}}
    stages = {**RECIPE["stages"], "score": {**RECIPE["stages"]["score"], "options": {"judge": secret}}}
    write_recipe(tmp_path / "selma.yaml", {**RECIPE, "stages": stages})
    write_recipe(tmp_path / "light.yaml", LIGHT)
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(ABLATION, sort_keys=False))
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Callable[..., Run]:
    """Runs a recipe with a tracker, in the folder's store."""

    def start(tracker: str, *overrides: str, recipe: str = "selma") -> Run:
        return run(folder / f"{recipe}.yaml", [f"runtime.trackers.t={tracker}", *overrides], store=folder / "store")

    return start

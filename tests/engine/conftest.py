"""A small SELMA over fake plugins: same graph as the real one, done in a second."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from selma_core.cli import main
from selma_core.engine import run
from selma_core.result import Run
from selma_core.session import Session, open_session
from tests.engine.kit import FAKES, LIGHT, RECIPE, Call, write_recipe


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


@pytest.fixture
def call(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs a command in the folder; gives exit code, stdout, stderr."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SELMA_STORE", str(folder / "store"))

    def call(*words: str) -> tuple[int, str, str]:
        code = main(words)
        out, err = capsys.readouterr()
        return code, out, err

    return call

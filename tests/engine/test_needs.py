"""What a run needs of the machine is asked for before anything runs; a plan needs nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import selma_core
from selma_core.cli import main
from selma_core.errors import ConfigErrors, UserError
from selma_core.graph.plan import make_plan, members
from selma_core.models.resolve import hub_of
from selma_core.result import Run
from selma_core.session import Session
from tests.engine.kit import write_recipe

Start = Callable[..., Run]
DRAWER, OTHER = (f"hub:a/{name}@{'0123456789' * 4}" for name in ("drawer", "other"))
MODELS = [f"stages.images.options.model={DRAWER}", f"stages.sample.options.model={OTHER}"]
REMOTE = ["stages.score.options.judge={use: fake_judge, options: {remote: true}}"]


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELMA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KEY", raising=False)


def put(name: str) -> None:
    """A fetched model."""
    folder = hub_of(name).target
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')


def lines_of(start: Start, recipe: str, overrides: list[str], **more: object) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        start(recipe, overrides, **more)
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


def test_everything_that_is_missing_is_said_at_once_and_nothing_runs(
    start: Start, folder: Path, log: Callable[[], list[str]]
) -> None:
    judge, on = "stages.score.options.judge", "(set on the command line); type:"
    assert lines_of(start, "selma", [*MODELS, *REMOTE]) == [
        f"stages.images.options.model: model '{DRAWER}' is not on this machine {on} selma models fetch {DRAWER}",
        f"stages.sample.options.model: model '{OTHER}' is not on this machine {on} selma models fetch {OTHER}",
        f"{judge}.options.api_key_env: the environment variable KEY holds no key; type: export it",
    ]
    assert log() == []
    assert not (folder / "store").exists()


def test_a_plan_needs_no_files_and_no_key(session: Callable[..., Session]) -> None:
    opened = session("selma", [*MODELS, *REMOTE])
    assert {row.status for row in make_plan(members(opened.graph), opened.store)} == {"run"}


def test_what_is_not_run_needs_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    assert start("selma", MODELS, until=["prompts", "bench"]).ok
    assert len(lines_of(start, "selma", MODELS, until=["images"])) == 1
    put(DRAWER)
    assert start("selma", MODELS, until=["images"]).ok
    assert len(lines_of(start, "selma", MODELS)) == 1
    put(OTHER)
    monkeypatch.setenv("KEY", "k")
    assert start("selma", [*MODELS, *REMOTE]).ok
    for name in (DRAWER, OTHER):
        (hub_of(name).target / "model_index.json").unlink()
        hub_of(name).target.rmdir()
    monkeypatch.delenv("KEY")
    assert {node.outcome for node in start("selma", [*MODELS, *REMOTE]).nodes} == {"reused"}


def test_an_ablation_asks_for_all_its_variants(folder: Path) -> None:
    variants = {"one": [MODELS[0]], "two": [f"stages.images.options.model={OTHER}"], "three": [MODELS[0]]}
    write_recipe(
        folder / "models.yaml", {"summary": "x", "recipe": "light.yaml", "metric": "light", "variants": variants}
    )
    with pytest.raises(ConfigErrors) as caught:
        selma_core.ablate(folder / "models.yaml", store=folder / "store")
    assert [line.rpartition(" ")[2] for line in str(caught.value).splitlines()] == [DRAWER, OTHER]
    assert not (folder / "store").exists()


def test_the_paper_recipe_without_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SELMA_PLUGINS", "all")
    monkeypatch.setenv("OPENAI_API_KEY", "")
    words = ["selma_sd14", "--store", str(tmp_path / "store")]
    assert main(["run", *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    drawing = [line for line in lines if line.endswith("type: selma models fetch sd14")]
    assert [line.split(": ")[2] for line in drawing] == [
        f"stages.{label}.options.model" for label in ("images", "expert", "joint", "sample")
    ]
    assert all(line.startswith("selma: error: stages.") for line in lines)
    assert not (tmp_path / "store").exists()
    assert main(["plan", *words]) == 0


def test_a_run_under_a_launcher_is_refused(start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its processes would wait for one another at the first training stage."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(UserError, match=r"one of 2 processes of a launcher .* start `selma run` once"):
        start("light")
    assert not (folder / "store" / "runs").exists()
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert start("light").ok

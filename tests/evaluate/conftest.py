"""Pictures of the shapes world, drawn from the benchmark's own prompts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL.Image import Image
from selma_plugins.shapes.benchmark import csv_of
from selma_plugins.shapes.grammar import ShapePrompt, benchmark_prompts, scene_of
from selma_plugins.shapes.render import render

from selma_core.cli import main

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SELMA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SELMA_STORE", str(tmp_path / "store"))
    for name in ("SELMA_PLUGINS", "SELMA_PLUGINS_STRICT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def prompts() -> dict[str, ShapePrompt]:
    """Ten prompts of the benchmark, two of each skill: id -> prompt."""
    chosen = [p for i, p in enumerate(benchmark_prompts()) if i % 65 < 2]
    return _named(chosen)


def _named(chosen: list[ShapePrompt]) -> dict[str, ShapePrompt]:
    seen: dict[str, int] = {}
    named = {}
    for prompt in chosen:
        number = seen[prompt.skill] = seen.get(prompt.skill, -1) + 1
        named[f"shapes_{prompt.skill}_{number:03d}"] = prompt
    return named


@pytest.fixture
def bench(prompts: dict[str, ShapePrompt], tmp_path: Path) -> Path:
    """A benchmark of these prompts with their questions."""
    (tmp_path / "bench.csv").write_text(csv_of(prompts.values(), "shapes"))
    return tmp_path / "bench.csv"


@pytest.fixture(scope="session")
def picture(prompts: dict[str, ShapePrompt]) -> Callable[..., Image]:
    """A function (prompt id, k) -> a picture of which all that the prompt says is true."""
    return lambda prompt_id, k=0: render(scene_of(prompts[prompt_id], k))


@pytest.fixture
def folder(prompts: dict[str, ShapePrompt], picture: Callable[..., Image], tmp_path: Path) -> Path:
    """`images/{id}.png` for every prompt."""
    out = tmp_path / "images"
    out.mkdir()
    for prompt_id in prompts:
        picture(prompt_id).save(out / f"{prompt_id}.png")
    return out


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command; gives exit code, stdout, stderr."""

    def call(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return call

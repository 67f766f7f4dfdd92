"""The evaluators in a run of the engine: models as folders, a kill in the middle, one load for two stages."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import attrs
import pytest
from selma_plugins.preference import clip
from selma_plugins.preference.options import PickScoreOptions
from selma_plugins.preference.pickscore import PickScore

from selma_core.artifacts.images import item_row, write_images
from selma_core.artifacts.scores import read_scores
from selma_core.engine import run
from selma_core.stages.scores import run_scores
from selma_core.stages.task import Input, Task
from selma_core.testing import FakeContext, Interrupted
from tests.engine.kit import FAKES, LIGHT, write_recipe
from tests.preference.support import items


def recipe(folder: Path, clip_folder: Path) -> Path:
    """Fake images, scored by two evaluators of one model."""
    shutil.copy(FAKES, folder / "fakes.py")
    stages = {name: LIGHT["stages"][name] for name in ("prompts", "images")}
    for use, more in (("pickscore", {"tokenizer": str(clip_folder)}), ("clipscore", {"rule": "x100"})):
        options = {"model": str(clip_folder), **more}
        stages[use] = {"kind": "evaluator", "use": use, "from": {"images": "images"}, "options": options}
    path = folder / "recipe.yaml"
    write_recipe(path, {**LIGHT, "stages": stages, "report": {"scores": ["pickscore", "clipscore"]}})
    return path


def test_two_evaluators_in_a_run_load_their_model_once(
    tmp_path: Path, clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    build = clip._build
    monkeypatch.setattr(clip, "_build", lambda entry: (loads.append(entry.name), build(entry))[1])
    run(recipe(tmp_path, clip_folder), ["runtime.executor.use=inline"], store=tmp_path / "store")
    assert loads == [str(clip_folder)]
    tables = {t.info.name: t for t in (read_scores(f) for f in _scores(tmp_path / "store"))}
    assert set(tables) == {"pickscore", "clipscore"}
    for name, table in tables.items():
        assert len(table.rows) == 10
        assert table.info.judge.startswith(f"{clip_folder}@sha256:"), name
        assert table.info.scale
        assert table.info.max_text_tokens == 16
    # a rule is applied to what is stored: nothing runs
    loads.clear()
    again = "stages.pickscore.options.rule=cosine"
    run(recipe(tmp_path, clip_folder), [again, "runtime.executor.use=inline"], store=tmp_path / "store")
    assert loads == []


def _scores(store: Path) -> list[Path]:
    return [path.parent for path in (store / "artifacts").rglob("atoms.jsonl")]


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_a_killed_stage_gives_the_same_table(
    device: str, tmp_path: Path, context: FakeContext, clip_folder: Path
) -> None:
    """`cpu:0` takes the batched path of a GPU; the batches of the second attempt are cut elsewhere."""
    source = tmp_path / "images"
    source.mkdir()
    made = items(source, ["a red cat", "two dogs", "a hat", "the sea"])
    write_images(source, [item_row(item) for item in made])
    tables = []
    for name, stops in (("straight", ()), ("killed", (4, 3))):
        out, scratch = tmp_path / name, tmp_path / f"{name}-scratch"
        out.mkdir()
        scratch.mkdir()
        for stop in (*stops, None):
            attempt = attrs.evolve(context, device=device, interrupt_after=stop)
            evaluator: Any = PickScore(PickScoreOptions(batch_size=3))
            inputs = {"images": (Input(fingerprint="0", folder=source),)}
            task = Task(implementation=evaluator, context=attempt, inputs=inputs, out=out, scratch=scratch)  # type: ignore[arg-type]
            if stop is None:
                run_scores(task)
            else:
                with pytest.raises(Interrupted):
                    run_scores(task)
        tables.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert tables[0] == tables[1]

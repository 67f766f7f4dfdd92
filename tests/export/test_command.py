"""`selma table` and `selma_core.table` on stored runs."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import selma_core
from selma_core.cli import main
from selma_core.errors import UserError
from selma_core.result import Run
from tests.engine.kit import FAKES, LIGHT, write_recipe

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of two variants in `store`, which is the default store."""
    shutil.copy(FAKES, tmp_path / "fakes.py")
    stages = {name: dict(slot) for name, slot in LIGHT["stages"].items() if name != "best"}
    for name in ("images", "score"):
        stages[name]["foreach"] = "variant"
    more = {
        "axes": {"variant": {"base": {}, "other": {"images": {"options": {"shade": 9}}}}},
        "report": {"scores": "score", "baseline": "base", "compare": [["other", "base"]]},
    }
    write_recipe(tmp_path / "two.yaml", {**LIGHT, **more, "stages": stages})
    monkeypatch.setenv("SELMA_STORE", str(tmp_path / "store"))
    return selma_core.run(tmp_path / "two.yaml")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*words: str) -> tuple[int, str, str]:
        code = main(words)
        return (code, *capsys.readouterr())

    return call


def test_a_run_by_its_id_its_folder_and_as_the_latest(ran: Run, call: Call) -> None:
    code, text, _ = call("table", ran.run_id)
    assert code == 0
    assert f"Run {ran.run_id}." in text
    assert call("table")[1] == call("table", str(ran.store / "runs" / ran.run_id))[1] == text
    rows = list(csv.DictReader(io.StringIO(call("table", "latest", "--format", "csv", "--metric", "light")[1])))
    assert {row["variant"]: float(row["mean"]) for row in rows} == {
        name: found["light"]["mean"] for name, found in ran.result["scores"].items()
    }
    assert rows[1]["baseline"] == "base"
    assert float(rows[1]["p_holm"]) == ran.result["comparisons"][0]["p_holm"]


def test_files(ran: Run, call: Call, tmp_path: Path) -> None:
    code, text, _ = call("table", "--out", str(tmp_path / "t.json"))
    assert (code, text) == (0, f"{tmp_path / 't.json'}\n")
    assert json.loads((tmp_path / "t.json").read_text())["run"] == ran.run_id
    assert call("table", "--out", str(tmp_path / "t"), "--format", "latex")[0] == 0
    assert r"\toprule" in (tmp_path / "t").read_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("lates",), "no run 'lates'"),
        (("--metric", "lihgt"), "did you mean 'light'?"),
        (("--baseline", "othr"), "nothing was compared with 'othr'; known: base"),
        (("--format", "parquet"), "name a file with --out"),
        (("--out", "t.doc"), "name one with --format (markdown, latex, csv, parquet, json)"),
    ],
)
def test_mistakes_are_one_line(ran: Run, call: Call, words: tuple[str, ...], line: str) -> None:
    code, out, error = call("table", *words)
    assert (code, out) == (2, "")
    assert len(error.splitlines()) == 1
    assert line in error


def test_a_run_without_scores_says_how_it_ended(ran: Run, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ran.store / "runs" / ran.run_id / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "scores": {}, "state": "interrupted"}))
    assert "has no scores (it is interrupted)" in call("table")[2]
    path.write_text("[]")
    assert "is no record of a run" in call("table")[2]


def test_groups_come_from_the_stored_observations(tmp_path: Path) -> None:
    from selma_plugins.shapes.grammar import benchmark_prompts, scene_of
    from selma_plugins.shapes.render import render

    (tmp_path / "images").mkdir()
    drawn: dict[str, int] = {}
    for prompt in benchmark_prompts():  # the first two of two skills
        number = drawn[prompt.skill] = drawn.get(prompt.skill, -1) + 1
        if prompt.skill in ("count", "paragraph") and number < 2:
            name = f"shapes_{prompt.skill}_{number:03d}.png"
            render(scene_of(prompt, 0)).save(tmp_path / "images" / name)
    done = selma_core.evaluate(tmp_path / "images", "shapes", judge="shapes_oracle", store=tmp_path / "store")
    made = selma_core.table(done.run.run_id, by_group=True, store=tmp_path / "store")
    whole, *parts = made.rows
    (summary,) = (found["dsg"] for found in done.run.summaries.values())
    assert len(parts) > 1
    assert {row.group: row.mean for row in parts} == dict(summary.groups)
    assert sum(row.n_prompts for row in parts) == whole.n_prompts == len(list((tmp_path / "images").iterdir()))
    assert (parts[0].rule, parts[0].judge) == (whole.rule, whole.judge)
    assert " | ".join(row.group for row in parts) in made.render("markdown").splitlines()[0]


def test_groups_of_an_ablation_are_refused(ran: Run) -> None:
    path = ran.store / "runs" / ran.run_id / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "ablation": "two"}))
    with pytest.raises(UserError, match=r"selma compare .* --groups"):
        selma_core.table(by_group=True)

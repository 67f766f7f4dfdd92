"""The JSON page shows the keys that the commands really print."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selma_core.cli.app import run_app
from tests.engine.kit import FAKES, LIGHT, write_recipe

Call = Callable[..., Any]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Runs a command line and returns the JSON on its stdout."""

    def run(*tokens: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert run_app(tokens) == code
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def example(root: Path) -> Callable[[str], Any]:
    def read(heading: str) -> Any:
        page = (root / "docs/reference/json.md").read_text()
        found = re.search(rf"^## {heading}\n+```json\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
        assert found, heading
        return json.loads(found[1])

    return read


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The light recipe of the engine's tests in two variants, so that there is something to compare."""
    shutil.copy(FAKES, tmp_path / "fakes.py")
    stages = {name: dict(slot) for name, slot in LIGHT["stages"].items() if name != "best"}
    for name in ("images", "score"):
        stages[name]["foreach"] = "variant"
    more = {
        "axes": {"variant": {"base": {}, "other": {"images": {"options": {"shade": 9}}}}},
        "report": {"scores": "score", "baseline": "base", "compare": [["other", "base"]]},
    }
    write_recipe(tmp_path / "two.yaml", {**LIGHT, **more, "stages": stages})
    return tmp_path / "two.yaml"


def test_run(call: Call, example: Call, recipe: Path) -> None:
    printed, shown = call("run", str(recipe), "--json", "--store", str(recipe.parent / "store")), example("selma run")
    assert list(printed) == list(shown)
    assert {tuple(row) for row in printed["stages"]} == {tuple(shown["stages"][0])}
    assert set(printed["scores"]) == {"base", "other"}
    assert list(printed["scores"]["other"]["light"]) == list(shown["scores"]["merged"]["dsg"])
    (row,) = printed["comparisons"]
    assert list(row) == list(shown["comparisons"][0])
    assert row["wins"] + row["ties"] + row["losses"] == row["n"] == printed["scores"]["base"]["light"]["n_prompts"]


def test_every_key_of_a_score_a_comparison_and_an_agreement_is_explained(root: Path, example: Call) -> None:
    page = (root / "docs/reference/json.md").read_text()
    table = re.findall(r"^\| (`[^|]+) \|", page.partition("## selma plan")[0], flags=re.MULTILINE)
    explained = {key for row in table for key in re.findall(r"`(\w+)`", row)}
    shown = example("selma run")
    rows = (shown["scores"]["merged"]["dsg"], *(shown[k][0] for k in ("comparisons", "agreement", "shared_judges")))
    wanted = {key for row in rows for key in row} - {"variant", "baseline", "metric"}
    assert explained == wanted


def test_a_failed_stage_says_why(call: Call, recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAIL", "images")
    printed = call("run", str(recipe), "--json", "--store", str(recipe.parent / "store"), code=1)
    failed = [row for row in printed["stages"] if row["outcome"] == "failed"]
    assert failed
    assert all(row["error"] and row["artifact"] is None for row in failed)


def test_plan(call: Call, example: Call, tmp_path: Path) -> None:
    printed, shown = call("plan", "selma_sd14", "--store", str(tmp_path), "--json"), example("selma plan")
    assert printed.keys() == shown.keys()
    assert {tuple(row) for row in printed["stages"]} == {tuple(shown["stages"][0])}


def test_study(call: Call, example: Call, recipe: Path) -> None:
    folder = recipe.parent
    ran = call("run", str(recipe), "--json", "--store", str(folder / "store"))
    images = [stage["artifact"] for stage in ran["stages"] if stage["kind"] == "image_generator"]
    exported = call("study", "export", *images, "--out", str(folder / "study"), "--checks", "1", "--json")
    assert list(exported) == list(example("selma study export"))
    answers = {"pair-0001": {"alignment": "tie", "quality": "tie"}}
    results = {"schema": 1, "study": exported["study"], "rater": "ana", "answers": answers}
    (folder / "ana.json").write_text(json.dumps(results))
    printed = call("study", "import", str(folder / "study"), str(folder / "ana.json"), "--json")
    shown = example("selma study import")
    assert list(printed) == list(shown)
    assert list(printed["questions"]) == ["alignment", "quality"]
    assert list(printed["questions"]["quality"]) == list(shown["questions"]["alignment"])
    assert list(printed["raters"][0]) == list(shown["raters"][0])


def test_ablate(call: Call, example: Call, recipe: Path) -> None:
    claim = {"claim": "darker is better", "source": "nobody", "better": "other", "than": "base"}
    write_recipe(recipe.parent / "a.yaml", {"recipe": "two.yaml", "seeds": 2, "claims": [claim]})
    printed = call("ablate", str(recipe.parent / "a.yaml"), "--json", "--store", str(recipe.parent / "store"))
    shown = example("selma ablate")
    assert set(printed) == set(shown)
    assert set(printed["scores"]["other"]["light"]) == set(shown["scores"]["merged"]["dsg"])
    assert set(printed["comparisons"][0]) == set(shown["comparisons"][0])
    assert set(printed["claims"][0]) == set(shown["claims"][0])
    assert set(printed["claims"][0]["comparisons"][0]) == {*shown["comparisons"][0], "margin"}


def test_models_show(call: Call, example: Call) -> None:
    assert list(call("models", "show", "sd14", "--json")) == list(example("selma models show"))


def test_benchmarks_show(call: Call, example: Call) -> None:
    assert list(call("benchmarks", "show", "dsg1k", "--json")) == list(example("selma benchmarks show"))


def test_evaluate(call: Call, example: Call, tmp_path: Path) -> None:
    from selma_plugins.shapes.grammar import benchmark_prompts, scene_of
    from selma_plugins.shapes.render import render

    (tmp_path / "images").mkdir()
    render(scene_of(benchmark_prompts()[0], 0)).save(tmp_path / "images" / "shapes_paragraph_000.png")
    words = ("--benchmark", "shapes", "--judge", "shapes_oracle", "--store", str(tmp_path / "store"), "--json")
    printed, shown = call("evaluate", "--images", str(tmp_path / "images"), *words), example("selma evaluate")
    assert list(printed) == list(shown)
    assert list(printed["scores"]["dsg"]) == list(example("selma run")["scores"]["merged"]["dsg"])


def test_plugins_list(call: Call, example: Call, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import a_package_that_is_not_there\n")
    printed, shown = call("plugins", "list", "--json", "--plugin", str(broken)), example("selma plugins list")
    for key in ("plugins", "problems"):
        assert list(printed[key][0]) == list(shown[key][0])
    assert printed.keys() == shown.keys()


def test_plugins_show(call: Call, example: Call) -> None:
    printed, shown = call("plugins", "show", "evaluator/dsg", "--json"), example("selma plugins show")
    assert list(printed) == list(shown)
    assert list(printed["options"][0]) == list(shown["options"][0])


def test_table(call: Call, example: Call, recipe: Path) -> None:
    at = ("--store", str(recipe.parent / "store"))
    call("run", str(recipe), "--json", *at)
    printed, shown = call("table", "--format", "json", *at), example("selma table")
    assert list(printed) == list(shown)
    assert list(printed["rows"][0]) == list(shown["rows"][0])


def test_score_and_compare(call: Call, root: Path, recipe: Path) -> None:
    at, plugin = ("--json", "--store", str(recipe.parent / "store")), ("--plugin", str(recipe.parent / "fakes.py"))
    call("run", str(recipe), *at)
    page = (root / "docs/reference/json.md").read_text()
    blocks = re.findall(r"^```json\n(.*?)^```", page.partition("## selma score")[2], flags=re.MULTILINE | re.DOTALL)
    stored, answers, compared = map(json.loads, blocks[:3])
    assert list(call("score", "latest", *at, *plugin)["scores"][0]) == list(stored["scores"][0])
    answered = root / "tests/data/dsg/pali17b_dsg.csv.gz"
    printed = call("score", "--benchmark", "dsg", "--answers", str(answered), "--t2i-model", "sd1dot1", "--json")
    assert list(printed) == list(answers)
    found = call("compare", "latest", *at, *plugin)
    assert list(found) == list(compared)
    assert [list(found[key][0]) for key in compared] == [list(compared[key][0]) for key in compared]

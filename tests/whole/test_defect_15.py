"""One recipe and one command run all of SELMA, wherever one stands: four stages on a tiny random model, on a CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selma_core.cli import main
from selma_core.engine import run
from tests import tiny_models
from tests.whole.conftest import clean, write_recipe

TINY: dict[str, Any] = {"model": "tiny", "steps": 2, "height": 16, "width": 16}
LORA: dict[str, Any] = {"model": "tiny", "rank": 2, "steps": 2, "batch_size": 2, "accumulation": 1, "lr": 0.01}
JUDGE: dict[str, Any] = {"use": "scripted", "options": {"replies": ["yes", "no"], "repeat": True}}
RECIPE: dict[str, Any] = {
    "plugins": {"files": ["mine.py"]},
    "runtime": {"executor": {"use": "inline"}, "threads": 1},
    "axes": {
        "skill": ["count", "general"],
        "variant": {"base": {}, "merged": {"sample": {"from": {"adapter": "merge"}}}},
    },
    "stages": {
        "prompts": {
            "kind": "prompt_source",
            "use": "grammar",
            "foreach": "skill",
            "options": {"skill": "{skill}", "n": 3},
        },
        "images": {
            "kind": "image_generator",
            "use": "diffusers",
            "foreach": "skill",
            "from": {"prompts": "prompts"},
            "options": TINY,
        },
        "expert": {
            "kind": "adapter_trainer",
            "use": "lora",
            "foreach": "skill",
            "from": {"images": "images"},
            "options": LORA,
        },
        "merge": {"kind": "merge_strategy", "use": "linear", "from": {"adapters": "expert"}},
        "bench": {"kind": "prompt_source", "use": "benchmark_prompts", "options": {"benchmark": "two"}},
        "sample": {
            "kind": "image_generator",
            "use": "diffusers",
            "foreach": "variant",
            "from": {"prompts": "bench"},
            "options": TINY,
        },
        "score": {
            "kind": "evaluator",
            "use": "dsg",
            "foreach": "variant",
            "from": {"images": "sample"},
            "options": {"benchmark": "two", "judge": JUDGE},
        },
    },
    "report": {"scores": "score", "headline": "dsg", "baseline": "base", "compare": [["merged", "base"]]},
}
PLUGIN = """
from pathlib import Path

from selma_core import hookimpl
from selma_core.records import RegistrySourceRecord


@hookimpl
def selma_registry_sources():
    yield RegistrySourceRecord(name="mine", path=Path(__file__).parent / "registry")
"""
QUESTIONS = """\
item_id,text,proposition_id,dependency,category_broad,category_detailed,tuple,question_natural_language
t_1,a red cat,1,0,entity,whole,e,Is there a cat?
t_1,a red cat,2,1,attribute,color,a,Is the cat red?
t_2,a blue hat,1,0,entity,whole,e,Is there a hat?
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with recipe, plugin file, model and benchmark, named relative to each other; nobody stands in it."""
    clean(monkeypatch, tmp_path)
    folder = tmp_path / "project"
    (folder / "registry/models").mkdir(parents=True)
    (folder / "registry/benchmarks").mkdir()
    tiny_models.sd(folder / "registry/models/pipeline")
    (folder / "registry/models/tiny.yaml").write_text("summary: tiny\nsources: [{folder: pipeline}]\n")
    (folder / "registry/benchmarks/two.csv").write_text(QUESTIONS)
    (folder / "registry/benchmarks/two.yaml").write_text("summary: two prompts\nfile: two.csv\n")
    (folder / "mine.py").write_text(PLUGIN)
    write_recipe(folder / "all.yaml", RECIPE)
    return folder


def test_defect_15_all_stages_by_one_command_from_another_folder(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "elsewhere" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("SELMA_STORE", str(tmp_path / "not_here"))  # the option has the last word
    assert main(["run", "../project/all.yaml", "--store", "../my-store", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {row["outcome"] for row in result["stages"]} == {"ran"}
    assert {row["kind"] for row in result["stages"]} >= {
        "prompt_source", "image_generator", "adapter_trainer", "merge_strategy", "evaluator"
    }  # fmt: skip
    assert result["scores"]["merged"]["dsg"]["n_prompts"] == result["scores"]["base"]["dsg"]["n_prompts"] == 2
    assert len(result["comparisons"]) == 1
    store = tmp_path / "my-store"
    assert all(Path(row["artifact"]).resolve().is_relative_to(store) for row in result["stages"])
    assert Path(result["report"]).is_file()
    assert {path.name for path in tmp_path.iterdir()} <= {"project", "elsewhere", "my-store", "cache"}
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["deeper"]

    # From one more folder, through Python: everything is found again.
    monkeypatch.chdir(tmp_path / "elsewhere" / "deeper")
    again = run(Path("../../project/all.yaml"), store=Path("../../my-store"))
    assert {node.outcome for node in again.nodes} == {"reused"}
    assert again.result["scores"] == result["scores"]

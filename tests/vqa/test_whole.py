"""Whole runs of all evaluators here: killed and resumed, with failing calls, and with a judge of the wrong sort."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import selma_core
from selma_core.artifacts.scores import read_values
from selma_core.result import Run
from tests.engine.kit import contents

HEADER = (
    "item_id,text,keywords,proposition_id,dependency,category_broad,category_detailed,tuple,question_natural_language\n"
)
COLOURS = ("red", "green", "blue", "black", "white", "pink")
# What each evaluator's judge says if it says the same of every image.
EXPECTED = {"dsg": 100.0, "dpg": 100.0, "vqascore": 60.0, "geneval2": 60.0, "t2i_compbench": 36.0, "llm_judge": 50.0}
OPTIONS: dict[str, dict[str, Any]] = {
    "dsg": {"benchmark": "./tiny.csv"},
    "dpg": {"benchmark": "./tiny.csv", "grid": 2},
    "vqascore": {},
    "geneval2": {"benchmark": "./mine.jsonl"},
    "t2i_compbench": {},
    "llm_judge": {},
}
N = len(COLOURS) * 2


def write_benchmarks(folder: Path) -> None:
    rows, lines = [HEADER], []
    for i, colour in enumerate(COLOURS):
        text = f"a {colour} cube and a round ball"
        asked = (("1", "0", "Is there a cube?"), ("2", "1", f"Is the cube {colour}?"), ("3", "0", "Is there a ball?"))
        rows += [f"p{i},{text},,{q},{parent},entity,whole,t,{question}\n" for q, parent, question in asked]
        pairs = [["How many cubes are in the image?", "one"], [f"Is the cube {colour}?", "Yes"]]
        row = {"prompt": text, "atom_count": 3, "vqa_list": pairs, "skills": ["count", "attribute"]}
        lines.append(json.dumps(row) + "\n")
    (folder / "tiny.csv").write_text("".join(rows))
    (folder / "mine.jsonl").write_text("".join(lines))


def recipe_of(judge: str = "pixels", **judging: Any) -> dict[str, Any]:
    stages: dict[str, Any] = {}
    for name, path in (("csv", "./tiny.csv"), ("jsonl", "./mine.jsonl")):
        stages[f"prompts_{name}"] = {
            "kind": "prompt_source",
            "use": "benchmark_prompts",
            "options": {"benchmark": path},
        }
        source = {"prompts": f"prompts_{name}"}
        stages[f"images_{name}"] = {"kind": "image_generator", "use": "dots", "from": source, "options": {"k": 2}}
    stages["base"] = {**stages["images_csv"], "options": {"k": 2, "shade": 99}}
    for name, options in OPTIONS.items():
        reads = {"images": "images_jsonl" if name == "geneval2" else "images_csv"}
        if name == "llm_judge":
            reads["baseline"] = "base"
        chosen = {"use": judge, "options": {"name": name, **judging} if judge == "pixels" else {}}
        stages[name] = {
            "kind": "evaluator",
            "use": name,
            "from": reads,
            "options": {**options, "judge": chosen, "batch": 1},
        }
    return {"summary": "all", "stages": stages, "plugins": {"files": ["judge_file.py"]}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(Path(__file__).with_name("judge_file.py"), tmp_path / "judge_file.py")
    write_benchmarks(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUDGE_LOG", str(tmp_path / "log.txt"))
    return tmp_path


def start(folder: Path, recipe: dict[str, Any], store: str = "store", *overrides: str) -> Run:
    (folder / "recipe.yaml").write_text(json.dumps(recipe))  # JSON is YAML
    return selma_core.run(folder / "recipe.yaml", list(overrides), store=folder / store)


def calls(folder: Path) -> Counter[str]:
    path = folder / "log.txt"
    found = Counter(path.read_text().splitlines() if path.exists() else [])
    path.unlink(missing_ok=True)
    return found


def killed(folder: Path, stop: str) -> None:
    code = "import selma_core; from pathlib import Path; selma_core.run(Path('recipe.yaml'), store=Path('store'))"
    environment = {**os.environ, "JUDGE_STOP": stop}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def table(run: Run) -> dict[str, Any]:
    return {name: by for entry in run.result["scores"].values() for name, by in entry.items()}


@pytest.mark.slow
def test_killed_in_every_evaluator_and_resumed_gives_the_same_table(folder: Path) -> None:
    straight = start(folder, recipe_of(), "straight")
    assert straight.ok, straight.failed
    expected = calls(folder)
    for name in OPTIONS:
        killed(folder, f"{name}:5")
    resumed = start(folder, recipe_of())
    assert resumed.ok, resumed.failed
    assert table(resumed) == table(straight)
    assert contents(folder / "store") == contents(folder / "straight")
    # Nothing was asked twice: what had been stored before each kill was read again.
    assert calls(folder) == expected
    assert expected == {"dsg": 3 * N, "dpg": 12 * N, "vqascore": N, "geneval2": 2 * N, "t2i_compbench": 2 * N} | {
        "llm_judge": 2 * N
    }
    # The judge looked: no two evaluators gave every image the same.
    assert all(len({v.values[k] for v in read_values(straight.artifact(n)) for k in v.values}) > 1 for n in OPTIONS)


def test_failed_calls_lower_the_coverage_and_the_mean_does_not_move(folder: Path) -> None:
    whole = table(start(folder, recipe_of(same=True)))
    flaky = start(folder, recipe_of(same=True, lost=0.25))
    found = table(flaky)
    for name, mean in EXPECTED.items():
        assert whole[name]["mean"] == pytest.approx(mean), name
        assert found[name]["mean"] == pytest.approx(mean), name
        assert whole[name]["coverage"] == 1.0, name
        assert 0.5 < found[name]["coverage"] < 0.95, name
        assert any("lower the coverage, not the score" in line for line in flaky.node(name).warnings), name
    rules = {name: entry["rule"] for name, entry in found.items()}
    assert rules == {
        "dsg": "official",
        "dpg": "fixed",
        "vqascore": "qwen.p_yes",
        "geneval2": "gm",
        "t2i_compbench": "product.template",
        "llm_judge": "swapped",
    }
    assert {entry["judge"] for entry in found.values()} == {"pixels"}


def test_a_judge_without_probabilities_fails_three_stages_with_one_line_each(folder: Path) -> None:
    recipe = recipe_of("scripted")
    for name in OPTIONS:
        recipe["stages"][name]["options"]["judge"]["options"] = {"replies": ["yes"], "repeat": True}
    run = start(folder, recipe)
    assert [node.id for node in run.failed] == ["vqascore", "geneval2", "t2i_compbench"]
    for node in run.failed:
        assert node.error == (
            f"{node.id}: {node.id} is made of probabilities, and the judge 'scripted' gives none; take one that does: "
            "'use: openai' with a server and model that return logprobs, or a model on this machine "
            "(selma plugins list chat_model)"
        )
    assert table(run)["dsg"]["mean"] == 100
    # `yes` names neither image: missing data, not a tie.
    assert (table(run)["llm_judge"]["mean"], table(run)["llm_judge"]["coverage"]) == (None, 0.0)


def test_a_baseline_goes_only_to_who_compares(folder: Path) -> None:
    recipe = recipe_of(same=True)
    recipe["stages"]["dsg"]["from"]["baseline"] = "base"
    del recipe["stages"]["llm_judge"]["from"]["baseline"]
    run = start(folder, recipe)
    failed = {node.id: node.error for node in run.failed}
    assert failed == {
        "dsg": "dsg: the evaluator 'dsg' compares with nothing; leave out the port 'baseline'",
        "llm_judge": "llm_judge: llm_judge compares two image sets: name the other one under 'from', "
        "like {images: sample, baseline: 'sample[base]'}",
    }


def test_another_rule_asks_nothing_again(folder: Path) -> None:
    start(folder, recipe_of())
    assert calls(folder)
    other = start(
        folder,
        recipe_of(),
        "store",
        "stages.geneval2.options.rule=am",
        "stages.vqascore.options.formula=normalised",
        "stages.dpg.options.rule=official",
        "stages.llm_judge.options.rule=average",
    )
    assert not calls(folder)
    assert {node.outcome for node in other.nodes} == {"reused"}
    rules = {name: entry["rule"] for name, entry in table(other).items()}
    assert (rules["geneval2"], rules["vqascore"]) == ("am", "qwen.normalised")
    assert (rules["dpg"], rules["llm_judge"]) == ("official", "average")

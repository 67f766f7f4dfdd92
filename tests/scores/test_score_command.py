"""`selma score`: published numbers from released answers, stored observations under any rule, and its error lines."""

from __future__ import annotations

import csv
import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KEYS = ["score", "rule", "by_group", "n_prompts", "n_answers", "missing_prompts", "neither_yes_nor_no"]
MACRO = {"official", "nodep", "tolerant", "transitive"}
Call = Callable[..., Any]


@pytest.mark.parametrize("rule", ["official", "nodep", "selma", "tolerant", "transitive", "strict"])
def test_every_number_of_the_table(rule: str, call: Call, released: Path, golden: dict[str, Any]) -> None:
    found = call(
        "score", "--benchmark", "dsg", "--answers", released, "--t2i-model", "sd2dot1", "--rule", rule, "--json"
    )
    assert list(found) == KEYS
    assert (found["rule"], found["n_prompts"], found["n_answers"]) == (rule, 1060, 8174)
    assert (found["missing_prompts"], found["neither_yes_nor_no"]) == (["tifa160_134"], 70)
    groups = golden["groups"]
    if rule == "strict":
        assert found["score"] == pytest.approx(100 * 565 / 1060)
        expected = {name: 100 * row["all_yes"] / row["prompts"] for name, row in groups.items()}
        assert found["by_group"] == pytest.approx(expected)
        return
    overall = golden["overall"][rule]
    headline = 100 * 6362 / 8174 if rule == "selma" else overall["macro"]
    assert found["score"] == pytest.approx(headline, abs=5e-5)
    assert found["by_group"] == pytest.approx({name: row[rule] for name, row in groups.items()}, abs=5e-5)


@pytest.mark.parametrize("model", ["mini-dalle", "vq-diffusion", "sd1dot1", "sd1dot5"])
def test_generators_that_were_asked_tifa160_only(
    model: str, call: Call, released: Path, golden: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    found = call("score", "--benchmark", "dsg1k", "--answers", released, "--t2i-model", model, "--json")
    assert found["score"] == pytest.approx(golden["generators"][model]["official"], abs=5e-5)
    assert (found["n_prompts"], found["n_answers"], list(found["by_group"])) == (160, 921, ["tifa"])
    assert "these 900 of 1060 prompts are left out" in caplog.text


def test_rule_is_the_metrics_own_by_default_and_text_shows_it(call: Call, released: Path) -> None:
    text = call("score", "--benchmark", "dsg", "--answers", released, "--t2i-model", "sd2dot1")
    assert "official" in text
    assert "80.4939" in text
    assert "1 (tifa160_134)" in text


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"--t2i-model": "sd2dot2"}, "no answers about model 'sd2dot2'; did you mean 'sd2dot1'?"),
        ({"--t2i-model": None}, "answers about 5 models; choose one by --t2i-model: mini-dalle, vq-diffusion, sd1dot1"),
        ({"--rule": "oficial"}, "metric 'dsg' has no rule 'oficial'; did you mean 'official'?"),
        ({"--benchmark": "dgs1k"}, "unknown benchmark 'dgs1k'; did you mean 'dsg1k'?"),
        ({"--benchmark": None}, "--answers needs --benchmark"),
        ({"--evaluator": "shapes_judge"}, "evaluator 'shapes_judge' reads no files of answers; those that do:"),
        ({"--answers": "none.csv"}, "none.csv: cannot be read"),
    ],
)
def test_one_line_says_what_is_wrong(change: dict[str, str | None], line: str, call: Call, released: Path) -> None:
    flags = {"--benchmark": "dsg", "--answers": str(released), "--t2i-model": "sd2dot1"} | change
    tokens = [token for flag, value in flags.items() if value is not None for token in (flag, value)]
    assert line in call("score", *tokens, code=2)


def test_one_model_in_the_file_needs_no_name(call: Call, released: Path, tmp_path: Path) -> None:
    rows = some(released)
    found = call("score", "--benchmark", "dsg", "--answers", write(tmp_path, rows), "--json")
    assert found["n_answers"] == len(rows)


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("item_id", "tifa160_9999", "line 2: the benchmark has no prompt 'tifa160_9999'"),
        ("question_id", "77", "line 2: prompt 'tifa160_0' has no question 77; it has: 1, 2"),
        ("question_id", "2", "line 3: prompt 'tifa160_0', question 2 is answered a second time"),
    ],
)
def test_answers_that_belong_nowhere(
    field: str, value: str, line: str, call: Call, released: Path, tmp_path: Path
) -> None:
    rows = some(released)
    rows[0] = {**rows[0], field: value}
    assert line in call("score", "--benchmark", "dsg", "--answers", write(tmp_path, rows), code=2)


def test_a_file_of_another_kind(call: Call, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("item_id,answer\nx,yes\n")
    line = call("score", "--benchmark", "dsg", "--answers", tmp_path / "a.csv", code=2)
    assert line.endswith("is no file of DSG answers: no column t2i_model, question, question_id")


def test_a_file_of_questions_needs_a_named_evaluator(call: Call, released: Path, root: Path, tmp_path: Path) -> None:
    questions = root / "registry" / "selma_registry" / "benchmarks" / "dsg1k" / "dsg-1k-anns.csv"
    given = ("score", "--benchmark", questions, "--answers", write(tmp_path, some(released)), "--json")
    assert "does not say which evaluator is its own; name one with --evaluator" in call(*given, code=2)
    assert call(*given, "--evaluator", "dsg")["n_answers"] == len(some(released))


def test_a_changed_question_is_said(call: Call, released: Path, tmp_path: Path, caplog: Any) -> None:
    rows = some(released)
    rows[1] = {**rows[1], "question": "Is it another one?"}
    call("score", "--benchmark", "dsg", "--answers", write(tmp_path, rows), "--json")
    assert "1 questions read otherwise than in benchmark 'dsg1k'; first: " in caplog.text
    assert "Is it another one?" in caplog.text


def some(released: Path) -> list[dict[str, str]]:
    with gzip.open(released, "rt", encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["t2i_model"] == "sd2dot1"]
    return [row for row in rows if row["item_id"] in {"tifa160_0", "tifa160_1", "tifa160_2"}]


def write(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / "answers.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


# --- stored observations ----------------------------------------------------------------------------------


def test_a_folder_under_any_rule(call: Call, folder: Callable[..., Path], golden: dict[str, Any]) -> None:
    place = folder("sd1dot5")
    for rule in ("official", "nodep", "tolerant", "transitive"):
        (found,) = call("score", place, "--rule", rule, "--json")["scores"]
        assert found["score"] == pytest.approx(golden["generators"]["sd1dot5"][rule], abs=5e-5)
        assert (found["metric"], found["rule"], found["judge"]) == ("dsg", rule, "pali17b")
        assert found["low"] < found["score"] < found["high"]


def test_a_run_with_all_its_variants_or_one(call: Call, store_run: Callable[..., str], tmp_path: Path) -> None:
    run = store_run("20260101-000000-a-0000", {"base": "sd1dot5", "best": "sd2dot1", "lost": None}, {"rule": "selma"})
    at = ("--store", tmp_path / "store", "--json")
    rows = call("score", run, *at)["scores"]
    assert [row["name"] for row in rows] == [f"{run}:base", f"{run}:best"]
    assert {row["rule"] for row in rows} == {"selma"}
    for name in (f"{run}:best", f"{run}:score[best]", "latest:best"):
        assert call("score", name, *at)["scores"] == rows[1:]
    assert call("score", tmp_path / "store" / "runs" / run, *at)["scores"] == rows
    assert "is not in the store" in call("score", f"{run}:lost", *at[:2], code=2)
    assert "has no scores of 'bset'; did you mean 'best'?" in call("score", f"{run}:bset", *at[:2], code=2)


def test_names_that_stand_for_nothing(call: Call, tmp_path: Path) -> None:
    assert "no run 'nothing' in" in call("score", "nothing", "--store", tmp_path, code=2)
    assert "holds neither scores (atoms.jsonl) nor a run" in call("score", tmp_path, code=2)
    assert "name stored scores" in call("score", code=2)
    assert "--benchmark: only with --answers" in call("score", "latest", "--benchmark", "dsg", code=2)


def test_a_real_run_and_its_artifact_by_fingerprint(call: Call, tmp_path: Path) -> None:
    """The engine's fake evaluator has a required component and another rule; its plugin is a single file."""
    import shutil

    from tests.engine.kit import FAKES, LIGHT, write_recipe

    shutil.copy(FAKES, tmp_path / "fakes.py")
    write_recipe(tmp_path / "light.yaml", LIGHT)
    at = ("--store", tmp_path / "store", "--json")
    ran = call("run", tmp_path / "light.yaml", *at)
    plugin = ("--plugin", tmp_path / "fakes.py")
    (row,) = call("score", "latest", *plugin, *at)["scores"]
    assert row["score"] == ran["scores"]["score"]["light"]["mean"]
    stage = next(stage for stage in ran["stages"] if stage["kind"] == "evaluator")
    (squared,) = call("score", stage["fingerprint"][:10], "--rule", "square", *plugin, *at)["scores"]
    assert squared["score"] < row["score"]
    assert "add --plugin with its path" in call("score", "latest", *at[:2], code=2)


def test_a_third_partys_reader(call: Call, tmp_path: Path) -> None:
    (tmp_path / "bright.py").write_text(THIRD_PARTY)
    (tmp_path / "answers.txt").write_text("a 1\nb 0\n")
    given = ("--benchmark", "dsg", "--evaluator", "bright", "--plugin", tmp_path / "bright.py", "--json")
    found = call("score", "--answers", tmp_path / "answers.txt", *given)
    assert (found["score"], found["missing_prompts"], found["blinks"]) == (pytest.approx(100 / 3), ["c"], 2)


THIRD_PARTY = """
from selma_core import hookimpl
from selma_core.artifacts.scores import ScoreTable
from selma_core.data import Atom, ItemAtoms, MetricInfo, PromptScore, Summary
from selma_core.protocols import Answers
from selma_core.records import EvaluatorRecord


class Bright:
    info = MetricInfo(name="bright")

    def __init__(self, options): ...
    def prepare(self, prompts, context): ...
    def observe(self, items, specs, context): ...
    def score(self, atoms, spec, rule): ...

    def aggregate(self, rows, specs, rule):
        seen = {row.prompt_id: row.atoms[0].value for row in rows}
        prompts = tuple(PromptScore(prompt_id=key, value=seen.get(key)) for key in specs)
        return Summary(metric="bright", rule=rule, judge="", mean=50.0, prompts=prompts, n_atoms=len(rows))


def read(job):
    pairs = [line.split() for line in job.path.read_text().splitlines()]
    rows = [ItemAtoms(item_id=k, prompt_id=k, k=0, atoms=(Atom(key="x", value=float(v)),)) for k, v in pairs]
    table = ScoreTable(MetricInfo(name="bright"), {"a": {}, "b": {}, "c": {}}, tuple(rows))
    return Answers(table=table, counts={"blinks": 2})


@hookimpl
def selma_evaluators():
    yield EvaluatorRecord(name="bright", summary="x", factory="bright:Bright", reader="bright:read")
"""


def test_scoring_imports_no_torch(released: Path, folder: Callable[..., Path]) -> None:
    place = folder("sd1dot5")
    code = (
        "import sys; from selma_core.cli.app import run_app;"
        "given = ['--benchmark', 'dsg', '--t2i-model', 'sd1dot1', '--answers'];"
        f"assert run_app(['score', *given, {str(released)!r}]) == 0;"
        f"assert run_app(['score', {str(place)!r}]) == 0;"
        f"assert run_app(['compare', {str(place)!r}, {str(place)!r}]) == 2;"
        "heavy = {'torch', 'transformers', 'diffusers', 'peft', 'scipy'} & sys.modules.keys();"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

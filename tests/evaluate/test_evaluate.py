"""`selma evaluate` end to end: the oracle of the shapes world judges pictures that SELMA did not draw."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import selma_core
from selma_core.errors import UserError
from selma_core.store import Store

Call = Callable[..., tuple[int, str, str]]

# An evaluator and a judge of a third party: no benchmark, no questions. `$STOP` = kill oneself at that image.
PLUGIN = """
import os, signal
import attrs
from selma_core import hookimpl
from selma_core.data import Atom, ItemAtoms, MetricInfo, PromptScore, Summary
from selma_core.records import EvaluatorRecord

class Size:
    info = MetricInfo(name="size", range=(None, None))
    def __init__(self, options): pass
    def prepare(self, prompts, context): return {p.id: {} for p in prompts}
    def observe(self, items, specs, context):
        for number, item in enumerate(items):
            if os.environ.get("STOP") == str(number):
                os.kill(os.getpid(), signal.SIGKILL)
            with open(os.environ["LOG"], "a") as log:
                log.write(item.item_id + "\\n")
            atom = Atom(key="score", value=float(item.path.stat().st_size))
            yield ItemAtoms(item_id=item.item_id, prompt_id=item.prompt.id, k=item.k, atoms=(atom,))
    def score(self, atoms, spec, rule): return atoms[0].value
    def aggregate(self, rows, specs, rule):
        prompts = tuple(PromptScore(prompt_id=r.prompt_id, value=r.atoms[0].value) for r in rows)
        mean = sum(p.value for p in prompts) / len(prompts)
        return Summary(metric="size", rule=rule, judge="", mean=mean, prompts=prompts, n_prompts=len(prompts),
                       n_images=len(rows), scale=1.0)

@hookimpl
def selma_evaluators():
    yield EvaluatorRecord(name="size", summary="bytes", factory=__name__ + ":Size")
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOG", str(tmp_path / "log.txt"))
    (tmp_path / "size.py").write_text(PLUGIN)
    return tmp_path / "size.py"


@pytest.fixture
def evaluate(call: Call, folder: Path, bench: Path) -> Callable[..., Any]:
    """Runs the command over the folder; gives the JSON, or (code, stderr) where it fails."""

    def evaluate(*words: object, images: Path = folder, benchmark: object = bench) -> Any:
        head = ("evaluate", "--images", images, "--benchmark", benchmark)
        code, out, err = call(*head, *words, "--json")
        return json.loads(out) if code == 0 else (code, out, err)

    return evaluate


ORACLE = ("--evaluator", "dsg", "--judge", "shapes_oracle")


def test_true_pictures_score_a_hundred(evaluate: Any, folder: Path) -> None:
    found = evaluate(*ORACLE)
    assert (found["expected_images"], found["found_images"], found["coverage"], found["missing"]) == (10, 10, 1.0, {})
    score = found["scores"]["dsg"]
    assert (score["mean"], score["low"], score["high"]) == (100.0, 100.0, 100.0)
    assert (score["n_prompts"], score["n_images"], score["expected_images"], score["coverage"]) == (10, 10, 10, 1.0)
    assert (score["rule"], score["judge"]) == ("official", "shapes_oracle")
    assert (found["images"], found["warnings"]) == (str(folder), [])
    assert Path(found["report"]).is_file()


def test_swapped_pictures_score_less(evaluate: Any, folder: Path) -> None:
    names = sorted(folder.iterdir())
    data = [name.read_bytes() for name in names]
    for name, content in zip(names, [*data[1:], data[0]], strict=True):
        name.write_bytes(content)
    assert evaluate(*ORACLE)["scores"]["dsg"]["mean"] < 80


def test_nothing_is_judged_twice_and_a_rule_needs_no_judge(
    evaluate: Any, plugin: Path, tmp_path: Path, folder: Path
) -> None:
    more = (*ORACLE, "--evaluator", "size", "--plugin", plugin)
    first = evaluate(*more)
    second = evaluate(*more, "-o", "dsg.rule=strict")
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 10
    assert second["artifacts"] == first["artifacts"]
    assert second["scores"]["dsg"]["rule"] == "strict"
    assert second["scores"]["size"] == first["scores"]["size"]
    folder.rename(tmp_path / "moved")
    assert evaluate(*more, images=tmp_path / "moved")["artifacts"] == first["artifacts"]
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 10


def test_killed_and_resumed_gives_the_same_table(
    evaluate: Any, plugin: Path, tmp_path: Path, folder: Path, bench: Path
) -> None:
    words = ["--evaluator", "size", "--plugin", str(plugin)]
    straight = evaluate(*words, "--store", tmp_path / "straight")
    (tmp_path / "log.txt").unlink()
    command = [sys.executable, "-m", "selma_core.cli", "evaluate", "--images", str(folder), "--benchmark", str(bench)]
    environment = {**os.environ, "STOP": "4"}
    done = subprocess.run([*command, *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 4
    resumed = evaluate(*words)
    assert sorted((tmp_path / "log.txt").read_text().split()) == sorted(f"{p.stem}-0" for p in folder.iterdir())
    assert resumed["scores"] == straight["scores"]
    for label in ("images", "size"):
        ours, theirs = (Path(one["artifacts"][label]) for one in (resumed, straight))
        for path in ours.iterdir():
            if path.name != "manifest.json":
                assert path.read_bytes() == (theirs / path.name).read_bytes(), path.name
    assert Store(tmp_path / "store").unfinished() == []


def test_missing_images_are_loud(call: Call, evaluate: Any, folder: Path, bench: Path, prompts: Any) -> None:
    gone = list(prompts)[:3]
    for name in gone:
        (folder / f"{name}.png").unlink()
    (folder / "cat.png").write_bytes((folder / f"{list(prompts)[4]}.png").read_bytes())
    broken = list(prompts)[5]
    (folder / f"{broken}.png").write_bytes(b"\x89PNG\r\n")
    found = evaluate(*ORACLE)
    assert found["missing"] == dict.fromkeys([*gone, broken], 1)
    assert (found["expected_images"], found["found_images"], found["coverage"]) == (10, 6, 0.6)
    assert (found["unmatched"], found["unreadable"]) == (["cat.png"], [f"{broken}.png"])
    assert found["scores"]["dsg"]["expected_images"] == 10
    assert found["scores"]["dsg"]["mean"] == 100.0  # missing, never zero
    code, out, err = call("evaluate", "--images", folder, "--benchmark", bench, *ORACLE)
    assert code == 0
    assert "6 of 10" in out
    assert "images: 6 of 10 expected (60.0 %) for 10 prompts" in out
    for line in (
        f"selma: warning: only 6 of 10 expected images are there: 4 prompt(s) lack some, first: {', '.join(gone)}",
        "selma: warning: 1 image(s) match no prompt and are left out, first: cat.png",
        f"selma: warning: 1 image(s) unreadable, counted as missing, first: {broken}.png",
    ):
        assert line in err.splitlines()
    assert "6 of 10" in Path(found["report"]).read_text()


def test_strict_judges_nothing(evaluate: Any, folder: Path, plugin: Path, tmp_path: Path) -> None:
    words = ("--evaluator", "size", "--plugin", plugin, "--strict")
    assert evaluate(*words)["coverage"] == 1.0
    (tmp_path / "log.txt").unlink()
    name = min(folder.iterdir())
    name.unlink()
    code, out, err = evaluate(*words)
    assert (code, out) == (2, "")
    assert f"selma: error: only 9 of 10 expected images are there (1 prompt(s) lack some, first: {name.stem})" in err
    assert not (tmp_path / "log.txt").exists()


def test_several_images_per_prompt(evaluate: Any, picture: Any, prompts: Any, tmp_path: Path) -> None:
    """GenEval's layout: a folder per prompt."""
    for number, key in enumerate(prompts):
        (tmp_path / "tree" / key / "samples").mkdir(parents=True)
        for k in range(4 if number else 2):
            picture(key, k).save(tmp_path / "tree" / key / "samples" / f"{k:04d}.png")
    found = evaluate(*ORACLE, "--per-prompt", 4, images=tmp_path / "tree")
    assert (found["expected_images"], found["found_images"]) == (40, 38)
    assert found["missing"] == {next(iter(prompts)): 2}
    assert found["scores"]["dsg"]["n_images"] == 38
    assert found["scores"]["dsg"]["n_prompts"] == 10


def test_the_benchmark_says_how_many_images_and_who_evaluates(
    call: Call, folder: Path, bench: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine" / "benchmarks").mkdir(parents=True)
    entry = f"summary: x\nfile: '{bench}'\nimages_per_prompt: 2\nevaluator: dsg\n"
    (tmp_path / "mine" / "benchmarks" / "mine.yaml").write_text(entry)
    (tmp_path / "reg.py").write_text(
        "from pathlib import Path\nfrom selma_core import hookimpl\n"
        "from selma_core.records import RegistrySourceRecord\n@hookimpl\ndef selma_registry_sources():\n"
        f"    yield RegistrySourceRecord(name='mine', path=Path({str(tmp_path / 'mine')!r}))\n"
    )
    words = ("--judge", "shapes_oracle", "--plugin", tmp_path / "reg.py", "--json")
    code, out, _ = call("evaluate", "--images", folder, "--benchmark", "mine", *words)
    assert code == 0
    assert (json.loads(out)["expected_images"], list(json.loads(out)["scores"])) == (20, ["dsg"])


def test_out_holds_the_numbers_and_every_observation(evaluate: Any, folder: Path, tmp_path: Path) -> None:
    found = evaluate(*ORACLE, "--out", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "scores.json").read_text()) == found
    assert (tmp_path / "out" / "report.html").is_file()
    rows = [json.loads(line) for line in (tmp_path / "out" / "dsg" / "atoms.jsonl").read_text().splitlines()]
    assert {row["prompt_id"] for row in rows} == {path.stem for path in folder.iterdir()}
    code, _, err = evaluate(*ORACLE, "--out", folder / "out")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "lies in the folder of images" in err


def test_images_of_a_run_are_a_folder_like_any_other(evaluate: Any) -> None:
    """SELMA's own imagefolder has a metadata.jsonl, so it can be scored against any benchmark with its prompts."""
    first = evaluate(*ORACLE)
    again = evaluate(*ORACLE, images=Path(first["artifacts"]["images"]))
    assert again["scores"] == first["scores"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--benchmark", "shape", *ORACLE), "unknown benchmark 'shape'; did you mean 'shapes'?"),
        (("--benchmark", "geneval"), "benchmark 'geneval' names no evaluator of its own; choose one: "),
        (("--benchmark", "shapes", "--evaluator", "dgs"), "unknown evaluator 'dgs'; did you mean 'dsg'?"),
        (("--benchmark", "shapes", "--judge", "shapes_oracel"), "did you mean 'shapes_oracle'?"),
        (("--benchmark", "shapes", *ORACLE, "-o", "ruel=selma"), "stages.dsg.options.ruel: unknown option"),
        (("--benchmark", "shapes", *ORACLE, "-o", "rule"), "an override is written"),
        (("--benchmark", "shapes", *ORACLE, "--evaluator", "dsg"), "named twice"),
        (("--benchmark", "shapes", "--evaluator", "shapes_judge", "--judge", "shapes_oracle"), "asks a judge"),
        (("--benchmark", "shapes", *ORACLE, "--evaluator", "shapes_judge", "-o", "rule=x"), "like dsg.rule=x"),
        (("--benchmark", "shapes", *ORACLE, "--per-prompt", "0"), "k: must be at least 1, not 0"),
        (("--benchmark", "geneval", *ORACLE), "belongs to one of the 553 prompts by its name"),
        (("--benchmark", "./gone.csv", *ORACLE), "gone.csv does not exist"),
        (("--benchmark", "dpg", *ORACLE), "type: selma benchmarks fetch dpg"),
        (("--benchmark", "geneval2", *ORACLE), "name the file in place of 'geneval2'"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(
    call: Call, folder: Path, tmp_path: Path, words: tuple[str, ...], error: str
) -> None:
    code, out, err = call("evaluate", "--images", folder, *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert error in err
    assert not (tmp_path / "store").exists()


def test_a_folder_that_is_not_there(evaluate: Any, tmp_path: Path) -> None:
    code, out, err = evaluate(*ORACLE, images=tmp_path / "gone")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "gone does not exist" in err


def test_an_evaluator_that_fails_is_exit_code_1(evaluate: Any, tmp_path: Path, folder: Path) -> None:
    (tmp_path / "plain.csv").write_text("id,text\n" + "".join(f"{p.stem},x\n" for p in folder.iterdir()))
    code, out, err = evaluate(*ORACLE, benchmark=tmp_path / "plain.csv")
    assert code == 1
    assert json.loads(out)["scores"] == {}
    assert "is not in DSG's CSV format" in err


def test_in_python(folder: Path, bench: Path, tmp_path: Path) -> None:
    found = selma_core.evaluate(folder, str(bench), ["dsg"], judge="shapes_oracle", options=["rule=strict"])
    assert (found.ok, found.coverage, found.expected_images) == (True, 1.0, 10)
    assert found.result["scores"]["dsg"]["mean"] == 100.0
    assert found.run.scores("dsg[images]").rows[0].atoms
    min(folder.iterdir()).unlink()
    with pytest.raises(UserError, match="only 9 of 10"):
        selma_core.evaluate(folder, str(bench), ["dsg"], judge="shapes_oracle", strict=True)


def test_it_imports_no_torch(folder: Path, bench: Path, tmp_path: Path) -> None:
    code = (
        "import sys, selma_core\nfrom pathlib import Path\n"
        f"found = selma_core.evaluate(Path({str(folder)!r}), {str(bench)!r}, ['dsg'], judge='shapes_oracle')\n"
        "assert found.ok\nassert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

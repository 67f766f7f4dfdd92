"""Whole runs with written questions: scripted chat models, a server on loopback, a run that breaks off and goes on."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import selma_core
from selma_core.cli.app import run_app
from selma_core.errors import ConfigErrors
from selma_core.result import Run
from tests.chat.conftest import Server, failing, send
from tests.engine.kit import FAKES, contents
from tests.evaluation.writer import lines_for, prompt_of

PROMPTS = ("a red cube", "a green ball", "a blue ring")
TIFA = (
    "object | cube | what is there? | cube; ball; ring; cone | cube\nobject | cube | is there a cube? | yes; no | yes"
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SELMA_PLUGINS", "SELMA_PLUGINS_STRICT", "SELMA_STORE", "FAKE_LOG", "FAKE_STOP", "FAKE_FAIL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def recipe(folder: Path, evaluator: str, options: dict[str, Any], bench: dict[str, Any] | None = None) -> Path:
    """Draws the prompts by a fake and scores them."""
    shutil.copy(FAKES, folder / "fakes.py")
    (folder / "prompts.txt").write_text("\n".join(PROMPTS))
    path = folder / f"{evaluator}.yaml"
    source = bench or {"use": "prompt_file", "options": {"path": str(folder / "prompts.txt")}}
    stages = {
        "bench": {"kind": "prompt_source", **source},
        "sample": {"kind": "image_generator", "use": "fake_images", "foreach": "variant", "from": {"prompts": "bench"}},
        "score": {
            "kind": "evaluator",
            "use": evaluator,
            "foreach": "variant",
            "from": {"images": "sample"},
            "options": options,
        },
    }
    data = {"summary": "x", "axes": {"variant": {"base": {}}}, "stages": stages, "plugins": {"files": ["fakes.py"]}}
    path.write_text(yaml.safe_dump(data | {"report": {"scores": "score", "headline": evaluator, "baseline": "base"}}))
    return path


def scripted(**options: Any) -> dict[str, Any]:
    return {"use": "scripted", "options": options}


def run(path: Path, store: str = "store") -> Run:
    return selma_core.run(path, [], store=path.parent / store)


def lines(word: str, *values: str) -> str:
    return "\n".join(f"{i} | {value}" for i, value in enumerate(values, 1)).replace("_", word)


def dsg_options() -> dict[str, Any]:
    """The second prompt's tuples cannot be had; the judge misses its first question and finds no colour but red."""
    replies = [
        *(lines(thing, "entity - whole (_)", "attribute - color (_)") for thing in ("cube", "ring")),
        lines("cube", "Is there a _?", "Is the _ red?"),
        lines("ring", "Is there a _?", "Is the _ blue?"),
        *["1 | 0\n2 | 1"] * 2,
    ]
    judge = scripted(answers={"Is there": "yes", "red?": "yes", "blue?": "no"}, fail=[0])
    return {"writer": scripted(replies=replies, fail=[1]), "attempts": 1, "judge": judge}


def test_dsg_with_scripted_models(tmp_path: Path) -> None:
    done = run(recipe(tmp_path, "dsg", dsg_options()))
    assert done.ok, done.failed
    summary = done.summaries["base"]["dsg"]
    # the cube: its first answer is lost, and with it what depends on it; the ring: yes, no
    assert (summary.mean, summary.n_prompts, summary.n_atoms) == (50.0, 1, 3)
    assert summary.coverage == pytest.approx(3 / 6)
    table = done.scores("score[base]")
    assert [len(spec["questions"]) for spec in table.specs.values()] == [2, 0, 2]
    assert {spec["written_by"] for spec in table.specs.values()} == {"scripted"}
    warnings = " ".join(done.node("score[base]").warnings)
    assert "1 of 3 prompts have no questions, first: " in warnings
    assert "scripted: call 1 fails on demand" in warnings
    assert [node.outcome for node in run(tmp_path / "dsg.yaml").nodes] == ["reused"] * 3


def test_tifa_with_scripted_models(tmp_path: Path) -> None:
    """The second call to the writer fails: two captions have questions, and the third has none."""
    replies = [TIFA, TIFA.replace("cube", "ring")]
    options = {
        "writer": scripted(replies=replies, fail=[1]),
        "checker": scripted(
            answers={"is there a": "yes", "red cube\nQuestion: what": "cube", "ring\nQuestion: what": "ring"}
        ),
        "judge": scripted(answers={"is there a": "yes", "what": "cube"}, fail=[0]),
        "attempts": 1,
        "outside": "wrong",
    }
    done = run(recipe(tmp_path, "tifa", options))
    assert done.ok, done.failed
    summary = done.summaries["base"]["tifa"]
    assert (summary.rule, summary.judge) == ("literal", "scripted")
    # of the first caption one answer is lost and one is right; of the last, one is right and one is wrong
    assert [prompt.value for prompt in summary.prompts] == [1.0, None, 0.5]
    assert (summary.mean, summary.coverage) == (75.0, pytest.approx(3 / 6))


class Model:
    """Writes DSG's lines, and answers yes to questions that come with an image. Attributes: judged, written = calls."""

    def __init__(self, refuse_after: int | None = None) -> None:
        self.refuse_after = refuse_after
        self.judged: list[dict[str, Any]] = []
        self.written: list[str] = []

    def __call__(self, handler: Any, body: dict[str, Any]) -> None:
        content = body["messages"][-1]["content"]
        if isinstance(content, str):
            self.written.append(content)
            self._say(handler, lines_for(content))
            return
        if self.refuse_after is not None and len(self.judged) >= self.refuse_after:
            failing(401)(handler, body)
            return
        self.judged.append(body)
        self._say(handler, "Yes." if "blue" not in content[1]["text"] else "No.")

    def _say(self, handler: Any, text: str) -> None:
        send(handler, 200, {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})


def openai(server: Server, **more: Any) -> dict[str, Any]:
    return {"use": "openai", "options": {"model": "tiny-model", "base_url": server.url, "concurrency": 1, **more}}


def test_a_server_writes_and_judges_and_a_broken_run_goes_on(server: Server, tmp_path: Path) -> None:
    options = {"writer": openai(server), "judge": openai(server), "batch": 1}
    path = recipe(tmp_path, "dsg", options)
    straight, broken, after = Model(), Model(refuse_after=2), Model()
    server.script = [straight]
    assert run(path, "straight").ok
    server.script = [broken]
    assert not run(path).ok
    server.script = [after]
    done = run(path)
    assert done.ok, done.failed
    assert contents(tmp_path / "store") == contents(tmp_path / "straight")
    assert [len(one.written) for one in (straight, broken, after)] == [9, 9, 0]
    assert [len(one.judged) for one in (straight, broken, after)] == [6, 2, 4]
    assert {prompt_of(text) for text in straight.written} == set(PROMPTS)
    image, text = straight.judged[0]["messages"][-1]["content"]
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert text == {"type": "text", "text": "Is there a cube?\nAnswer only yes or no."}
    summary = done.summaries["base"]["dsg"]
    assert (summary.coverage, summary.judge) == (1.0, "openai:tiny-model@127.0.0.1")
    assert summary.mean == pytest.approx(100 * 2.5 / 3)


@pytest.mark.parametrize(("evaluator", "rule"), [("dsg", "nodep"), ("tifa", "literal")])
def test_stored_answers_are_scored_again_without_a_model(
    evaluator: str, rule: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An artifact remembers neither the benchmark's nor the encoder's name, and scoring needs neither."""
    writer = scripted(replies=[TIFA], repeat=True)
    answers = {"is there a": "yes", "what": "cube"}
    tifa = {"writer": writer, "judge": scripted(answers=dict(answers)), "checker": scripted(answers=dict(answers))}
    done = run(recipe(tmp_path, evaluator, dsg_options() if evaluator == "dsg" else tifa | {"outside": "wrong"}))
    capsys.readouterr()
    assert run_app(["score", str(done.artifact("score[base]")), "--rule", rule, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["scores"]
    summary = done.summaries["base"][evaluator]
    # an answer without the one it depends on counts in `nodep`: the cube's colour
    assert found["score"] == pytest.approx(75.0 if evaluator == "dsg" else summary.mean)


def test_a_recipe_without_questions_stops_before_it_draws(tmp_path: Path) -> None:
    path = recipe(tmp_path, "tifa", {"judge": scripted(), "benchmark": ""})
    with pytest.raises(ConfigErrors) as caught:
        run(path)
    message = str(caught.value)
    assert "stages.score.options.benchmark" in message
    assert "no questions" in message
    assert "stages.score.options.embedder" in message
    assert not list((tmp_path / "store").rglob("*.png"))


@pytest.mark.parametrize(("evaluator", "name"), [("dsg", "questions.csv"), ("tifa", "questions.json")])
def test_written_questions_can_be_frozen_into_a_file(evaluator: str, name: str, root: Path, tmp_path: Path) -> None:
    """The script of the how-to makes a benchmark of them, which scores the same."""
    page = (root / "docs/how-to/generate_questions.md").read_text()
    (script,) = re.findall(r"^```python\n# freeze\.py\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "freeze.py").write_text(script)
    judge = scripted(answers={"Is there": "yes", "red?": "yes", "blue?": "no", "is there a": "yes", "what": "ball"})
    tifa = {
        "writer": scripted(replies=[TIFA], repeat=True),
        "checker": scripted(answers={"is there a": "yes", "what": "cube"}),
        "outside": "wrong",
    }
    options = (dsg_options() if evaluator == "dsg" else tifa) | {"judge": judge}
    first = run(recipe(tmp_path, evaluator, options))
    folder = first.artifact("score[base]")
    subprocess.run([sys.executable, tmp_path / "freeze.py", folder, tmp_path / name], check=True)
    frozen = str(tmp_path / name)
    bench = {"use": "benchmark_prompts", "options": {"benchmark": frozen}}
    outside = {"outside": "wrong"} if evaluator == "tifa" else {}
    second = run(recipe(tmp_path, evaluator, {"benchmark": frozen, "judge": judge} | outside, bench))
    assert second.ok, second.failed
    written, read = (done.summaries["base"][evaluator] for done in (first, second))
    assert read.coverage == 1.0
    assert read.mean == {"dsg": 75.0, "tifa": 50.0}[evaluator]
    assert (written.mean, written.rule, written.categories) == (read.mean, read.rule, read.categories)
    kept = {prompt.prompt_id: prompt.value for prompt in written.prompts if prompt.value is not None}
    assert kept == {prompt.prompt_id: prompt.value for prompt in read.prompts}
    assert json.loads((folder / "specs.json").read_text())

"""A judge behind a server that fails: what is lost lowers the coverage, nothing else; a killed run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from selma_plugins.chat.openai_chat import OpenAIChat
from selma_plugins.chat.options import OpenAIOptions
from selma_plugins.evaluation.dsg import Dsg
from selma_plugins.evaluation.options import DsgOptions

from selma_core.data import Entry, ImageItem, ItemAtoms, Prompt
from selma_core.options import Slot
from selma_core.testing import FakeContext

HEADER = "item_id,text,proposition_id,dependency,category_broad,category_detailed,tuple,question_natural_language\n"
QUESTIONS = ("Is there a thing?", "Is the thing red?", "Is it dark?")
PROMPTS = 20
FLAT = """
from PIL import Image
from selma_core import hookimpl
from selma_core.records import ImageGeneratorRecord


class Flat:
    images_per_prompt = 1

    def __init__(self, options):
        pass

    def images(self, job):
        for request in job.requests:
            yield request, Image.new("RGB", (8, 8), (request.seed % 256, request.seed // 256 % 256, 0))


@hookimpl
def selma_image_generators():
    yield ImageGeneratorRecord(name="flat", summary="one colour", factory="flat:Flat")
"""


def asked(body: Mapping[str, Any]) -> tuple[str, str]:
    """(image, question) of a request."""
    image, text = body["messages"][-1]["content"]
    return image["image_url"]["url"], text["text"].splitlines()[0]


def chance(body: Mapping[str, Any], salt: str) -> int:
    """0-99, the same for the same question on the same image."""
    return sha256((salt + "".join(asked(body))).encode()).digest()[0] % 100


def say(handler: Any, body: dict[str, Any], how: Any) -> None:
    """Two thirds of the answers are yes."""
    answer = "yes" if chance(body, "answer") < 66 else "no"
    how.saying({"choices": [{"message": {"content": answer}, "finish_reason": "stop"}]})(handler, body)


@pytest.fixture
def items(tmp_path: Path) -> list[ImageItem]:
    found = []
    for i in range(PROMPTS):
        path = tmp_path / f"{i}.png"
        Image.new("RGB", (8, 8), (i, 0, 0)).save(path)
        prompt = Prompt(id=f"p_{i}", text=f"a thing, number {i}")
        found.append(ImageItem(item_id=f"p_{i}-0", prompt=prompt, path=path, sha256=str(i), k=0))
    return found


@pytest.fixture
def benchmark(tmp_path: Path) -> Entry:
    path = tmp_path / "tiny.csv"
    rows = [
        f'p_{i},"a thing, number {i}",{q},0,entity,whole,t,{text}\n'
        for i in range(PROMPTS)
        for q, text in enumerate(QUESTIONS, 1)
    ]
    path.write_text(HEADER + "".join(rows))
    return Entry(section="benchmarks", name="tiny", provider="test", data={"file": "tiny.csv"}, pin="0", path=path)


def observe(server: Any, items: list[ImageItem], entry: Entry, **options: Any) -> tuple[Any, list[ItemAtoms], Any]:
    values = {"model": "m", "base_url": server.url, "attempts": 1, "concurrency": 16, **options}
    judge = OpenAIChat(OpenAIOptions(**values))
    context = FakeContext(
        workdir=Path(), components={("chat_model", "openai"): judge}, entries={("benchmarks", "tiny"): entry}
    )
    evaluator = Dsg(DsgOptions(benchmark="tiny", judge=Slot("openai"), rule="nodep"))
    specs = evaluator.prepare([item.prompt for item in items], context)
    rows = list(evaluator.observe(items, specs, context))
    return evaluator.aggregate(rows, specs, "nodep"), rows, specs


@pytest.mark.parametrize("fault", ["hanging", "failing", "broken", "cut", "all of them"])
def test_faults_lower_coverage_and_nothing_else(
    server: Any, items: list[ImageItem], benchmark: Entry, behaviours: Any, fault: str, monkeypatch: Any
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    faults = ["hanging", "broken", "empty", "cut", "no_choices", "failing"] if fault == "all of them" else [fault]
    lost: set[tuple[str, str]] = set()
    over = threading.Event()

    def faulty(handler: Any, body: dict[str, Any]) -> None:
        if chance(body, "fault") >= 30:
            say(handler, body, behaviours)
            return
        lost.add(asked(body))
        name = faults[chance(body, "which") % len(faults)]
        own = {"failing": behaviours.failing(500), "hanging": lambda *_: over.wait(60)}
        (own.get(name) or getattr(behaviours, name))(handler, body)

    server.script = [lambda handler, body: say(handler, body, behaviours)]
    _, clean, _ = observe(server, items, benchmark)
    server.script = [faulty]
    summary, rows, _ = observe(server, items, benchmark, timeout=4.0 if "hanging" in faults else 60.0)
    over.set()

    before = {(row.item_id, atom.key): atom for row in clean for atom in row.atoms}
    after = {(row.item_id, atom.key): atom for row in rows for atom in row.atoms}
    failed = {key for key, atom in after.items() if atom.status == "error"}
    assert len(failed) == len(lost) >= 5
    assert summary.coverage == pytest.approx(1 - len(failed) / len(after))
    assert all(after[key].value is None and "openai:m" in (after[key].raw or "") for key in failed)
    assert [atom.raw for atom in before.values() if atom.status != "ok"] == []
    assert all(after[key].value == before[key].value for key in after.keys() - failed)
    # the mean is the clean run's over the questions that were answered: no failure counts as a no
    answered: dict[str, list[float]] = {}
    for (item, key), atom in before.items():
        if (item, key) not in failed:
            answered.setdefault(item, []).append(atom.value or 0.0)
    means = [sum(values) / len(values) for values in answered.values()]
    assert summary.mean == pytest.approx(100 * sum(means) / len(means))


def test_a_server_that_is_gone_gives_no_number(items: list[ImageItem], benchmark: Entry, server: Any) -> None:
    summary, rows, _ = observe(server, items[:3], benchmark, base_url="http://127.0.0.1:9/v1")
    assert summary.mean is None
    assert summary.coverage == 0
    assert {atom.status for row in rows for atom in row.atoms} == {"error"}


@pytest.fixture
def recipe(tmp_path: Path, server: Any) -> Path:
    (tmp_path / "flat.py").write_text(FLAT)
    judge = {"use": "openai", "options": {"model": "m", "base_url": server.url, "concurrency": 2}}
    stages = {
        "bench": {"kind": "prompt_source", "use": "benchmark_prompts", "options": {"benchmark": "shapes", "limit": 8}},
        "sample": {"kind": "image_generator", "use": "flat", "from": {"prompts": "bench"}},
        "score": {
            "kind": "evaluator", "use": "dsg", "from": {"images": "sample"},
            "options": {"benchmark": "shapes", "judge": judge, "batch": 1},
        },
    }  # fmt: skip
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"summary": "s", "stages": stages, "plugins": {"files": ["flat.py"]}}))
    return path


def run(recipe: Path, store: str) -> subprocess.Popen[bytes]:
    code = (
        "import sys, selma_core; run = selma_core.run(sys.argv[1], store=__import__('pathlib').Path(sys.argv[2])); "
        "sys.exit(0 if run.ok else str(run.failed))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "OPENAI_API_KEY"}
    command = [sys.executable, "-c", code, str(recipe), str(recipe.parent / store)]
    return subprocess.Popen(command, env=environment)


def tables(store: Path) -> dict[str, bytes]:
    """Every stored file but the manifests, which hold times."""
    files = [path for path in (store / "artifacts").rglob("*") if path.is_file() and path.name != "manifest.json"]
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in files}


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_tables(server: Any, recipe: Path, behaviours: Any) -> None:
    server.script = [lambda handler, body: say(handler, body, behaviours)]
    assert run(recipe, "whole").wait(120) == 0
    wanted, questions = tables(recipe.parent / "whole"), len(server.seen)
    assert any("score" in name or "atoms" in name for name in wanted)

    server.seen.clear()
    process = run(recipe, "killed")

    def fatal(handler: Any, body: dict[str, Any]) -> None:
        if len(server.seen) > questions // 2:
            process.send_signal(signal.SIGKILL)
        say(handler, body, behaviours)

    server.script = [fatal]
    assert process.wait(120) == -signal.SIGKILL
    at_kill = len(server.seen)
    assert questions // 2 < at_kill < questions

    server.script = [lambda handler, body: say(handler, body, behaviours)]
    assert run(recipe, "killed").wait(120) == 0
    assert tables(recipe.parent / "killed") == wanted
    again = len(server.seen) - questions
    assert again < questions // 3, "what was observed before the kill is not asked again"

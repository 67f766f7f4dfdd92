"""Judges in their own interpreter: the page's worker, and workers that die, hang and babble."""

from __future__ import annotations

import gc
import json
import os
import re
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import pytest
from PIL import Image
from selma_plugins.judges.json_lines import JsonLinesChat
from selma_plugins.judges.options import JsonLinesOptions

from selma_core.data import ChatReply, ChatRequest, Message
from selma_core.errors import UserError
from selma_core.protocols import ChatModel

HEAD = (
    "import json, os, sys, time\nfor line in sys.stdin:\n    request = json.loads(line)\n    text = request['text']\n"
)
SAY = "    print(json.dumps({'id': request['id'], 'text': 'echo ' + text}), flush=True)\n"


def ask(text: str, *images: Path, **fields: Any) -> ChatRequest:
    return ChatRequest(messages=(Message.user(*images, text),), **fields)


@pytest.fixture
def worker(tmp_path: Path) -> Callable[..., JsonLinesChat]:
    """A judge whose worker is this Python code; alone, the lines between reading a request and echoing it."""

    def build(body: str = "", *, whole: str = "", **options: Any) -> JsonLinesChat:
        file = tmp_path / "worker.py"
        file.write_text(whole or HEAD + "".join(f"    {line}\n" for line in body.splitlines()) + SAY)
        values = {"name": "old", "command": [sys.executable, "-S", str(file)], "timeout": 20.0}
        return JsonLinesChat(JsonLinesOptions(**(values | options)))

    return build


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (2, 2)).save(tmp_path / "dog.png")
    return tmp_path / "dog.png"


def test_the_worker_shown_in_the_docs(root: Path, tmp_path: Path, picture: Path) -> None:
    page = (root / "docs/how-to/old_judges.md").read_text()
    (shown,) = re.findall(r"^```python\n# mplug_worker\.py\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    assert len(shown.splitlines()) <= 35
    file = tmp_path / "mplug_worker.py"
    file.write_text(shown)
    model = JsonLinesChat(JsonLinesOptions(name="mplug", command=[sys.executable, str(file), "--dry"]))
    dog, cat, blind = model.reply([ask("Is there a dog?", picture), ask("Is there a cat?", picture), ask("Hm?")])
    assert (dog.text, cat.text) == ("yes", "no")
    assert blind.error is not None
    assert blind.error.startswith("mplug: ValueError")


def test_requests_hold_all_of_it(worker: Any, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(picture.parent)
    model = worker("text = line")
    system = Message(role="system", parts=Message.user("be short").parts)
    request = ask("Is there “a dog”?", Path("dog.png"), choices=("yes", "no"), seed=3)
    (reply,) = model.reply([attrs.evolve(request, messages=(system, *request.messages))])
    assert json.loads(reply.text.removeprefix("echo ")) == {
        "id": 1,
        "text": "be short\n\nIs there “a dog”?",
        "images": [{"path": str(picture), "sha256": sha256(picture.read_bytes()).hexdigest()}],
        "choices": ["yes", "no"],
        "max_tokens": 256,
        "temperature": 0.0,
        "seed": 3,
        "stop": [],
    }
    assert isinstance(model, ChatModel)
    assert model.identity == "old"


def test_one_worker_answers_all_calls_grouped_by_picture(worker: Any, tmp_path: Path) -> None:
    pictures = [tmp_path / f"{i}.png" for i in range(3)]
    for path in pictures:
        path.write_bytes(b"x")
    model = worker("text = f\"{os.getpid()} {request['id']} {text}\"")
    requests = [ask(f"{n}{p.stem}", p) for n in range(2) for p in pictures]
    replies = [reply.text.split() for reply in model.reply(requests) + model.reply(requests[:1])]
    assert len({pid for _, pid, _, _ in replies}) == 1
    assert [text for *_, text in replies] == ["00", "01", "02", "10", "11", "12", "00"]
    assert [number for _, _, number, _ in replies] == ["1", "3", "5", "2", "4", "6", "7"]


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        ("os._exit(3)", "ended with code 3; its last words: so long"),
        ("os.kill(os.getpid(), 9)", "killed by SIGKILL"),
        ("time.sleep(60)", "no answer within 0.5 s; its last words: so long"),
        ("print('hello', flush=True)", "no JSON"),
        ("print(json.dumps({'id': 0, 'text': 'x'}), flush=True)", "not the reply to request 2"),
        ("print(json.dumps({'id': 2, 'text': 5}), flush=True)", "'text' must be a string"),
        ("print(json.dumps([1]), flush=True)", "not the reply to request 2"),
        ("os.close(1); time.sleep(60)", "closed its output"),
        ("sys.stdout.buffer.write(b'\\xff\\n'); sys.stdout.flush(); time.sleep(60)", "closed its output"),
    ],
)
def test_what_kills_it_is_one_error_and_the_rest_is_answered(
    worker: Any, deed: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selma_plugins.judges.child._GRACE", 0.5)
    model = worker(f"if text == 'bad':\n    print('so\\nlong', file=sys.stderr, flush=True)\n    {deed}", timeout=0.5)
    first, bad, last = model.reply([ask("a"), ask("bad"), ask("z")])
    assert (first.text, last.text) == ("echo a", "echo z")
    assert bad.text == ""
    assert words in bad.error
    assert bad.error.startswith("old: ")
    assert "\n" not in bad.error


def test_its_own_errors_keep_it_running(worker: Any) -> None:
    answer = "print(json.dumps({'id': request['id'], 'error': 'too\\nlarge'}), flush=True)"
    model = worker(f"if text == 'bad':\n    {answer}\n    continue\ntext = str(os.getpid())")
    first, bad, last = model.reply([ask("a"), ask("bad"), ask("z")])
    assert bad == ChatReply(error="old: too large")
    assert first == last


def test_a_missing_picture_is_one_error(worker: Any, picture: Path) -> None:
    gone, fine = worker().reply([ask("a", picture.parent / "gone.png"), ask("b", picture)])
    assert "cannot read the image" in gone.error
    assert "gone.png: No such file" in gone.error
    assert fine.text == "echo b"


@pytest.mark.parametrize(
    ("scores", "words"),
    [({"yes": -0.1, "no": -2}, None), ({"yes": -0.1}, "one entry"), ({"yes": 0.5, "no": -1.0}, "natural-log")],
)
def test_probabilities(worker: Any, scores: dict[str, float], words: str | None) -> None:
    body = (
        f"print(json.dumps({{'id': request['id'], 'text': 'yes', 'choice_logprobs': {scores}}}), flush=True)\ncontinue"
    )
    (reply,) = worker(body).reply([ask("a", choices=("yes", "no"))])
    if words is None:
        assert reply == ChatReply(text="yes", choice_logprobs=scores)
    else:
        assert words in reply.error


def test_a_worker_that_never_answers_stops_the_stage(worker: Any) -> None:
    model = worker(whole="import sys; sys.exit('no module named modelscope')", restarts=2)
    requests = [ask(str(i)) for i in range(10)]
    with pytest.raises(UserError, match=r"old never answers: .*no module named modelscope") as caught:
        model.reply(requests)
    assert "\n" not in str(caught.value)


def test_loading_has_a_limit_of_its_own(worker: Any) -> None:
    slow = "import time\ntime.sleep(0.8)\n" + HEAD + SAY
    (reply,) = worker(whole=slow, timeout=0.3).reply([ask("a")])
    assert reply.text == "echo a"
    (late,) = worker(whole=slow, start_timeout=0.2).reply([ask("a")])
    assert "no answer within 0.2 s" in late.error


def test_no_shell_and_no_path_of_ours(worker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    model = worker("text = json.dumps([sys.argv[1:], os.environ.get('PYTHONPATH')])")
    command = [*model._options.command, f"; touch {tmp_path}/hacked", "$HOME"]
    (reply,) = JsonLinesChat(JsonLinesOptions(name="old", command=command)).reply([ask("a")])
    assert json.loads(reply.text.removeprefix("echo ")) == [command[3:], None]
    assert not (tmp_path / "hacked").exists()


def test_it_ends_with_who_asked(worker: Any) -> None:
    model = worker("text = str(os.getpid())")
    (reply,) = model.reply([ask("a")])
    pid = int(reply.text.split()[1])
    del model
    gc.collect()
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the worker still runs")


def test_what_is_missing_is_known_before_a_run(tmp_path: Path) -> None:
    assert list(JsonLinesOptions(name="x", command=[sys.executable]).needs()) == []
    assert [name for name, _ in JsonLinesOptions(name="x", command=[]).needs()] == ["command"]
    ((_, line),) = JsonLinesOptions(name="x", command=["/no/such/python"]).needs()
    assert "no program '/no/such/python'" in line
    with pytest.raises(UserError, match="cannot start '/no/such/python'"):
        JsonLinesChat(JsonLinesOptions(name="x", command=["/no/such/python"])).reply([ask("a")])

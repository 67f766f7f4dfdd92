"""A whole run against a server that throws the key back: the key is in no file, no event, no message."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import selma_core
from selma_core.events import Event
from selma_core.result import Run

LINES = ("seven grey stones beside a wooden boat", "one lamp above an empty kitchen table", "twelve birds over hills")
REPLY = {"choices": [{"message": {"content": "\n".join(f"{i}. {line}" for i, line in enumerate(LINES, 4))}}]}


class Seen:
    """What a run leaves: `texts` = events and messages so far; `folder` = where all of its files are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.texts: list[str] = []

    def hear(self, event: Event) -> None:
        self.texts.append(repr(event))

    def places(self, word: str) -> list[str]:
        """Where a word is found."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return [str(path) for path in files if word.encode() in path.read_bytes()] + [
            text for text in self.texts if word in text
        ]


@pytest.fixture
def start(server: Any, tmp_path: Path) -> Callable[..., tuple[Run, Seen]]:
    """Runs the prompts of one skill, written by the server."""
    options = {"model": "tiny-model", "base_url": server.url, "api_key_env": "SELMA_TEST_KEY", "concurrency": 1}
    prompts = {"skill": "general", "n": 3, "ask": 3, "requests": 2, "chat": {"use": "openai", "options": options}}
    stage = {"kind": "prompt_source", "use": "llm_skills", "options": prompts}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"summary": "prompts", "stages": {"prompts": stage}}))

    def run(executor: str) -> tuple[Run, Seen]:
        seen = Seen(tmp_path)
        overrides = [f"runtime.executor.use={executor}"]
        return selma_core.run(recipe, overrides, store=tmp_path / "store", on_event=seen.hear), seen

    return run


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_the_key_is_used_and_left_nowhere(
    start: Any, server: Any, key: str, behaviours: Any, executor: str, caplog: Any, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    server.script = [behaviours.failing(400, {"error": {"message": f"you sent {key}"}}), behaviours.saying(REPLY)]
    run, seen = start(executor)
    assert run.ok, run.failed
    assert [prompt.text for prompt in run.prompts("prompts").prompts] == list(LINES)
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {key}"}
    seen.texts += [caplog.text, *capfd.readouterr(), str(run), str(run.result)]
    assert run.report is not None
    assert seen.places("you sent ***")  # what the server said is kept, without the key
    assert seen.places("SELMA_TEST_KEY")  # the search does find words
    assert seen.places(key) == []


def test_a_refused_key_is_in_no_record_of_the_failure(
    start: Any, server: Any, key: str, behaviours: Any, caplog: Any, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    server.script = [behaviours.failing(401, {"error": {"message": f"Incorrect API key: {key}"}})]
    run, seen = start("inline")
    assert not run.ok
    seen.texts += [caplog.text, *capfd.readouterr(), str(run), str(run.result)]
    assert seen.places("Incorrect API key: ***")
    assert seen.places(key) == []

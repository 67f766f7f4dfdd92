"""The scripted chat model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from selma_plugins.chat.options import ScriptedOptions
from selma_plugins.chat.scripted import Scripted

from selma_core.data import ChatRequest, Message
from selma_core.errors import ArtifactError


def ask(*texts: str) -> list[ChatRequest]:
    return [ChatRequest(messages=(Message.user(text),)) for text in texts]


def test_replies_in_order_over_several_calls_and_ends() -> None:
    model = Scripted(ScriptedOptions(replies=["a", "b", "c"]))
    assert [r.text for r in model.reply(ask("x", "x"))] == ["a", "b"]
    last, after = model.reply(ask("x", "x"))
    assert last.text == "c"
    assert after.error == "scripted: all 3 replies are used up"


def test_repeats_when_told() -> None:
    model = Scripted(ScriptedOptions(replies=["a", "b"], repeat=True))
    assert [r.text for r in model.reply(ask(*"12345"))] == ["a", "b", "a", "b", "a"]


def test_answers_by_text_before_replies() -> None:
    model = Scripted(ScriptedOptions(replies=["other"], answers={"red": "yes", "blue": "no"}))
    assert [r.text for r in model.reply(ask("is it blue?", "is it red?", "hm"))] == ["no", "yes", "other"]


def test_fails_on_demand_without_using_a_reply_up() -> None:
    model = Scripted(ScriptedOptions(replies=["a", "b"], fail=[1]))
    first, bad, second = model.reply(ask(*"123"))
    assert (first.text, second.text) == ("a", "b")
    assert bad.error == "scripted: call 1 fails on demand"


@pytest.mark.parametrize(("data", "texts"), [(["a", "b"], ["a", "b"]), ({"x": "found", "y": "no"}, ["found", "found"])])
def test_reads_a_file(tmp_path: Path, data: object, texts: list[str]) -> None:
    path = tmp_path / "replies.json"
    path.write_text(json.dumps(data))
    assert [r.text for r in Scripted(ScriptedOptions(file=str(path))).reply(ask("x", "x"))] == texts


@pytest.mark.parametrize("content", ["{", "3"])
def test_a_bad_file_is_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "replies.json"
    path.write_text(content)
    with pytest.raises(ArtifactError, match=r"replies\.json"):
        Scripted(ScriptedOptions(file=str(path))).reply(ask("x"))

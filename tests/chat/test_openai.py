"""The `openai` chat model against a real server that misbehaves."""

from __future__ import annotations

import logging
import threading
import time
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from selma_plugins.chat.openai_chat import OpenAIChat
from selma_plugins.chat.options import OpenAIOptions

from selma_core.data import ChatReply, ChatRequest, Message
from selma_core.errors import UserError
from selma_core.protocols import ChatModel


def ask(*texts: str, **fields: Any) -> list[ChatRequest]:
    return [ChatRequest(messages=(Message.user(text),), **fields) for text in texts]


def chat(server: Any, **options: Any) -> OpenAIChat:
    values = {"model": "tiny-model", "base_url": server.url, "api_key_env": "SELMA_TEST_KEY", "backoff": 0.01}
    return OpenAIChat(OpenAIOptions(**(values | options)))


def behave(server: Any, *names: Any) -> None:
    server.script = list(names)


@pytest.fixture
def how(request: pytest.FixtureRequest) -> Any:
    """The server's behaviours, from conftest."""
    return request.getfixturevalue("behaviours")


def test_answers_and_sends_what_was_asked(server: Any, key: str) -> None:
    (reply,) = chat(server, top_p=0.5).reply(ask("hello", max_tokens=7, temperature=0.3, seed=5, stop=("\n4.",)))
    assert reply == ChatReply(text="echo hello")
    (body,) = server.seen
    assert body == {
        "path": "/v1/chat/completions",
        "model": "tiny-model",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 7,
        "temperature": 0.3,
        "top_p": 0.5,
        "seed": 5,
        "stop": ["\n4."],
    }
    assert server.headers[0]["Authorization"] == f"Bearer {key}"


def test_satisfies_the_protocol(server: Any) -> None:
    assert isinstance(chat(server), ChatModel)


def test_completion_mode_and_truncation(server: Any, key: str) -> None:
    (reply,) = chat(server, mode="completion").reply(ask("1. a\n2."))
    assert reply == ChatReply(text="echo 1. a\n2.", truncated=True)
    assert server.seen[0]["path"] == "/v1/completions"


def test_extra_fields_are_added_and_null_removes(server: Any, key: str) -> None:
    chat(server, extra={"max_tokens": None, "max_completion_tokens": 9}).reply(ask("x"))
    assert server.seen[0]["max_completion_tokens"] == 9
    assert "max_tokens" not in server.seen[0]


def test_order_is_kept_and_concurrency_bounded(server: Any, key: str, how: Any) -> None:
    def jittery(handler: Any, body: dict[str, Any]) -> None:
        time.sleep(0.03 if body["messages"][-1]["content"].endswith(("0", "3", "6")) else 0.005)
        how.echo(handler, body)

    behave(server, jittery)
    texts = [f"question {i}" for i in range(20)]
    replies = chat(server, concurrency=4).reply(ask(*texts))
    assert [reply.text for reply in replies] == [f"echo {text}" for text in texts]
    assert 2 <= server.busiest <= 4


def test_as_many_questions_as_allowed_are_under_way(server: Any, key: str, how: Any) -> None:
    together = threading.Barrier(64)

    def waits(handler: Any, body: dict[str, Any]) -> None:
        together.wait(60)  # nobody is answered before 64 ask at once
        how.echo(handler, body)

    behave(server, waits)
    replies = chat(server, concurrency=64).reply(ask(*map(str, range(128))))
    assert [reply.text for reply in replies] == [f"echo {i}" for i in range(128)]
    assert server.busiest == 64


def test_defect_08_fails_twice_then_succeeds(server: Any, key: str, how: Any) -> None:
    behave(server, how.failing(500), how.failing(503), how.echo)
    (reply,) = chat(server).reply(ask("x"))
    assert reply == ChatReply(text="echo x")
    assert len(server.seen) == 3


def test_honours_retry_after(server: Any, key: str, how: Any) -> None:
    behave(server, how.failing(429, Retry_After="0.4"), how.echo)
    (reply,) = chat(server).reply(ask("x"))
    assert reply.text == "echo x"
    assert server.times[1] - server.times[0] >= 0.39


def test_retry_after_never_waits_above_max_wait(server: Any, key: str, how: Any) -> None:
    behave(server, how.failing(429, Retry_After="3600"), how.echo)
    started = time.monotonic()
    assert chat(server, max_wait=0.1).reply(ask("x"))[0].text == "echo x"
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("bad", ["cut", "broken", "empty", "no_choices"])
def test_a_bad_answer_is_tried_again(server: Any, key: str, how: Any, bad: str) -> None:
    behave(server, getattr(how, bad), how.echo)
    (reply,) = chat(server).reply(ask("x"))
    assert reply == ChatReply(text="echo x")


def test_a_slow_server_times_out_and_is_tried_again(server: Any, key: str, how: Any) -> None:
    behave(server, how.slow, how.echo)
    (reply,) = chat(server, timeout=0.2).reply(ask("x"))
    assert reply == ChatReply(text="echo x")


@pytest.mark.parametrize(
    ("bad", "words"), [("cut", "connection"), ("broken", "unreadable"), ("slow", "no answer within 0.2 s")]
)
def test_what_stays_broken_becomes_an_error_reply(server: Any, key: str, how: Any, bad: str, words: str) -> None:
    behave(server, getattr(how, bad))
    (reply,) = chat(server, attempts=2, timeout=0.2 if bad == "slow" else 60).reply(ask("x"))
    assert reply.text == ""
    assert reply.error is not None
    assert words in reply.error
    assert "2 tries" in reply.error


def test_nobody_listens(server: Any, key: str) -> None:
    dead = chat(server, base_url="http://127.0.0.1:9/v1", attempts=2)
    (reply,) = dead.reply(ask("x"))
    assert reply.error is not None
    assert "connection failed" in reply.error


def test_one_failed_call_leaves_the_others(server: Any, key: str, how: Any) -> None:
    def picky(handler: Any, body: dict[str, Any]) -> None:
        refused = body["messages"][-1]["content"] == "b"
        (how.failing(400, {"error": {"message": "refused by policy"}}) if refused else how.echo)(handler, body)

    behave(server, picky)
    a, b, c = chat(server).reply(ask("a", "b", "c"))
    assert (a.text, c.text) == ("echo a", "echo c")
    assert b.error == "openai:tiny-model@127.0.0.1: 400 refused by policy"
    assert len(server.seen) == 3  # a refusal is not tried again


def test_a_wrong_model_is_one_line_with_the_nearest(server: Any, key: str, how: Any) -> None:
    behave(server, how.failing(404, {"error": {"message": "no such model", "code": "model_not_found"}}))
    with pytest.raises(UserError) as caught:
        chat(server, model="tiny-modell").reply(ask("x"))
    line = str(caught.value)
    assert "does not know the model 'tiny-modell'" in line
    assert "did you mean 'tiny-model'?" in line
    assert "\n" not in line


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_one_line(server: Any, key: str, how: Any, status: int) -> None:
    behave(server, how.failing(status, {"error": {"message": f"Incorrect API key: {key}"}}))
    with pytest.raises(UserError, match="refused the key in SELMA_TEST_KEY") as caught:
        chat(server).reply(ask("x"))
    assert key not in str(caught.value)


def test_no_quota_is_not_tried_again(server: Any, key: str, how: Any) -> None:
    behave(server, how.failing(429, {"error": {"message": "pay", "code": "insufficient_quota"}}))
    with pytest.raises(UserError, match="no quota left"):
        chat(server).reply(ask("x"))
    assert len(server.seen) == 1


def test_no_key(server: Any) -> None:
    with pytest.raises(UserError, match="environment variable SELMA_TEST_KEY holds no key"):
        chat(server).reply(ask("x"))


def test_own_server_needs_no_key(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert chat(server, api_key_env="OPENAI_API_KEY").reply(ask("x"))[0].text == "echo x"
    assert "Authorization" not in server.headers[0]


def test_the_key_is_nowhere(server: Any, key: str, how: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    behave(server, how.failing(500, {"error": {"message": f"you sent {key}"}}))
    model = chat(server, attempts=2)
    (reply,) = model.reply(ask("x"))
    assert reply.error is not None
    assert "you sent ***" in reply.error
    for text in (repr(model), str(vars(model)), model.identity, repr(reply), caplog.text):
        assert key not in text


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "http://me:secret@host/v1"},
        {"base_url": "http://host/v1?api_key=x"},
        {"base_url": "host"},
        {"extra": {"api_key": "x"}},
        {"concurrency": 0},
    ],
)
def test_options_refuse_secrets_and_nonsense(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        OpenAIOptions(model="m", **options)


def test_images_travel_as_data_urls(server: Any, key: str, tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    Image.new("RGB", (2, 2)).save(tmp_path / "b.jpg")
    request = ChatRequest(messages=(Message.user("what?", tmp_path / "a.png", tmp_path / "b.jpg"),))
    chat(server).reply([request])
    text, png, jpeg = server.seen[0]["messages"][0]["content"]
    assert text == {"type": "text", "text": "what?"}
    assert png["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert jpeg["image_url"]["url"].startswith("data:image/jpeg;base64,/9j/")


def test_other_formats_travel_as_png(server: Any, key: str, tmp_path: Path) -> None:
    Image.new("RGB", (2, 3), (1, 2, 3)).save(tmp_path / "a.webp", lossless=True)
    chat(server).reply([ChatRequest(messages=(Message.user(tmp_path / "a.webp", "?"),))])
    url = server.seen[0]["messages"][0]["content"][0]["image_url"]["url"]
    head, data = url.split(",")
    assert head == "data:image/png;base64"
    image = Image.open(BytesIO(b64decode(data)))
    assert (image.size, image.getpixel((0, 0))) == ((2, 3), (1, 2, 3))


def test_an_unreadable_image_is_one_error_reply(server: Any, key: str, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    gone, bad, fine = chat(server).reply(
        [
            ChatRequest(messages=(Message.user(tmp_path / "no.png", "?"),)),
            ChatRequest(messages=(Message.user(tmp_path / "bad.png", "?"),)),
            *ask("x"),
        ]
    )
    assert "no.png: No such file" in gone.error
    assert "bad.png: not an image" in bad.error
    assert fine == ChatReply(text="echo x")
    assert len(server.seen) == 1


def test_choices_come_from_the_first_token(server: Any, key: str, how: Any) -> None:
    top = [{"token": "Yes", "logprob": -0.5}, {"token": " yes", "logprob": -1.5}, {"token": "No", "logprob": -2.0}]
    choice = {"message": {"content": "Yes"}, "logprobs": {"content": [{"token": "Yes", "top_logprobs": top}]}}
    behave(server, how.saying({"choices": [choice]}))
    (reply,) = chat(server).reply(ask("x", choices=("yes", "no")))
    assert reply.choice_logprobs == pytest.approx({"yes": -0.18674, "no": -2.0}, abs=1e-4)
    assert server.seen[0]["logprobs"] is True
    assert server.seen[0]["top_logprobs"] == 20
    assert server.seen[0]["temperature"] == 0.0
    assert "structured_outputs" not in server.seen[0]


def test_choices_can_be_all_that_a_server_may_say(server: Any, key: str) -> None:
    chat(server, constrain=True).reply([*ask("x", choices=("yes", "no")), *ask("y")])
    with_choices, without = sorted(server.seen, key=lambda body: "logprobs" not in body)
    assert with_choices["structured_outputs"] == {"choice": ["yes", "no"]}
    assert "structured_outputs" not in without


def test_the_image_comes_before_the_question(server: Any, key: str, tmp_path: Path) -> None:
    """So that all questions on one image share what the server computed of it."""
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    chat(server).reply([ChatRequest(messages=(Message.user(tmp_path / "a.png", "what?"),))])
    assert [part["type"] for part in server.seen[0]["messages"][0]["content"]] == ["image_url", "text"]


def test_identity_names_a_foreign_host() -> None:
    assert OpenAIChat(OpenAIOptions(model="gpt-x")).identity == "openai:gpt-x"
    assert OpenAIChat(OpenAIOptions(model="q", base_url="http://box:8000/v1")).identity == "openai:q@box"


def test_no_requests_no_calls(server: Any) -> None:
    assert chat(server).reply([]) == []
    assert server.seen == []

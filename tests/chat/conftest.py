"""An HTTP server on loopback that misbehaves as told, and a key that must never be seen."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

KEY = "sk-very-secret-0123456789"
Answer = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]


class Http(ThreadingHTTPServer):
    request_queue_size = 128  # the default of 5 resets connections when many come at once
    daemon_threads = True


class Server:
    """Attributes: script = what to do with the calls, in order, the last one for ever; seen = bodies received."""

    def __init__(self) -> None:
        self.script: list[Answer] = [echo]
        self.seen: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.busy = self.busiest = 0
        self.models = ["tiny-model", "other"]
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                send(self, 200, {"data": [{"id": name} for name in server.models]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server._lock:
                    call = len(server.seen)
                    server.seen.append({"path": self.path, **body})
                    server.headers.append(dict(self.headers))
                    server.times.append(time.monotonic())
                    server.busy += 1
                    server.busiest = max(server.busiest, server.busy)
                try:
                    server.script[min(call, len(server.script) - 1)](self, body)
                finally:
                    with server._lock:
                        server.busy -= 1

            def log_message(self, *_: object) -> None:
                pass

        self._http = Http(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def send(handler: BaseHTTPRequestHandler, status: int, body: Any, **headers: str) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def echo(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """Answers with the last turn's text."""
    if "prompt" in body:
        send(handler, 200, {"choices": [{"text": f"echo {body['prompt']}", "finish_reason": "length"}]})
        return
    content = body["messages"][-1]["content"]
    message = {"role": "assistant", "content": f"echo {content}"}
    send(handler, 200, {"choices": [{"message": message, "finish_reason": "stop"}]})


def failing(status: int, body: Any = None, **headers: str) -> Answer:
    """Answers with an error."""
    return lambda handler, _: send(handler, status, body or {"error": {"message": f"status {status}"}}, **headers)


def cut(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """Promises an answer and cuts the connection in its middle."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


def slow(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """Answers after a second."""
    time.sleep(1.0)
    with contextlib.suppress(OSError):
        echo(handler, body)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SELMA_TEST_KEY", KEY)
    return KEY


class Behaviours:
    """What the server can be told to do with a call."""

    echo = staticmethod(echo)
    failing = staticmethod(failing)
    cut = staticmethod(cut)
    slow = staticmethod(slow)
    broken = staticmethod(lambda handler, _: send(handler, 200, b'{"choices": [{"mess'))
    empty = staticmethod(lambda handler, _: send(handler, 200, b""))
    no_choices = staticmethod(lambda handler, _: send(handler, 200, {"choices": []}))
    saying = staticmethod(lambda data: lambda handler, _: send(handler, 200, data))


@pytest.fixture
def behaviours() -> type[Behaviours]:
    return Behaviours

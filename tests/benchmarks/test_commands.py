"""`selma benchmarks list|show|fetch`, with a loopback server that misbehaves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from selma_core.cli import main
from selma_core.files import git_blob_file
from tests.benchmarks.test_formats import TIFA

CONTENT = json.dumps(TIFA).encode()
Call = Callable[..., tuple[int, str, str]]


class Handler(BaseHTTPRequestHandler):
    """Serves the questions; `/cut` closes half-way, `/missing` is absent."""

    def do_GET(self) -> None:
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path.startswith("/cut") else CONTENT)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.server_close()


@pytest.fixture
def blob(tmp_path: Path) -> str:
    (tmp_path / "content").write_bytes(CONTENT)
    return git_blob_file(tmp_path / "content")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*words: str) -> tuple[int, str, str]:
        code = main(words)
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def mine(tmp_path: Path) -> Callable[..., list[str]]:
    """A function (entries by name) -> the words that make a registry of them known."""

    def mine(**entries: str) -> list[str]:
        folder = tmp_path / "mine" / "benchmarks"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in entries.items():
            (folder / f"{name}.yaml").write_text(f"summary: {name}\n{text}\n")
        plugin = tmp_path / "my_registry.py"
        plugin.write_text(
            "from pathlib import Path\nfrom selma_core import hookimpl\n"
            "from selma_core.records import RegistrySourceRecord\n"
            "@hookimpl\ndef selma_registry_sources():\n"
            f"    yield RegistrySourceRecord(name='mine', path=Path({str(folder.parent)!r}))\n"
        )
        return ["--plugin", str(plugin)]

    return mine


def kept(tmp_path: Path) -> list[str]:
    return [
        file.name for file in (tmp_path / "cache" / "models").rglob("*") if file.is_file() and file.suffix != ".lock"
    ]


def test_a_download_is_verified_by_its_git_blob_and_read(
    call: Call, mine: Any, server: str, blob: str, tmp_path: Path
) -> None:
    words = mine(q=f"sources: [{{url: '{server}/q.json', git_blob: {blob}}}]\nimages_per_prompt: 4")
    code, out, _ = call("benchmarks", "show", "q", "--json", *words)
    assert (code, json.loads(out)["status"], json.loads(out)["git_blob"], json.loads(out)["prompts"]) == (
        0,
        "absent",
        blob,
        None,
    )
    code, out, _ = call("benchmarks", "fetch", "q", *words)
    assert (code, Path(out.strip()).read_bytes()) == (0, CONTENT)
    shown = json.loads(call("benchmarks", "show", "q", "--json", *words)[1])
    assert (shown["status"], shown["git_blob"], shown["pin"]) == ("present", blob, f"git-blob:{blob}")
    assert (shown["format"], shown["prompts"], shown["questions"], shown["images_per_prompt"]) == ("tifa_json", 1, 2, 4)
    Path(out.strip()).write_bytes(CONTENT[:-1] + b"\n")
    code, _, err = call("benchmarks", "show", "q", *words)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "is not what was fetched (its git blob id differs); delete it, fetch again" in err


@pytest.mark.parametrize(
    ("path", "pin", "error"),
    [
        ("/q.json", "git_blob: " + "0" * 40, "wrong git blob id: expected " + "0" * 40),
        ("/q.json", "sha256: " + "0" * 64, "wrong sha256: expected " + "0" * 64),
        ("/cut/q.json", "", "RemoteProtocolError"),
        ("/missing/q.json", "", "the server answered 404"),
    ],
)
def test_a_bad_download_is_one_line_and_keeps_nothing(
    call: Call, mine: Any, server: str, blob: str, tmp_path: Path, path: str, pin: str, error: str
) -> None:
    words = mine(q=f"sources: [{{url: '{server}{path}', {pin or f'git_blob: {blob}'}}}]")
    code, out, err = call("benchmarks", "fetch", "q", *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("selma: error: benchmark 'q' could not be fetched: ")
    assert error in err
    assert kept(tmp_path) == []
    assert json.loads(call("benchmarks", "show", "q", "--json", *words)[1])["status"] == "absent"


def test_a_file_that_verifies_but_is_no_benchmark_is_named(call: Call, mine: Any, server: str, blob: str) -> None:
    words = mine(q=f"format: geneval_jsonl\nsources: [{{url: '{server}/q.json', git_blob: {blob}}}]")
    code, _, err = call("benchmarks", "fetch", "q", *words)
    assert code == 2
    assert "needs 'prompt' (str)" in err


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("url: 'https://x.org/q.json'", "needs 'sha256', 64 hexadecimal digits, not ''"),
        ("url: 'https://x.org/q.json', git_blob: abc", "needs 'git_blob', 40 hexadecimal digits, not 'abc'"),
        ("url: 'https://x.org/q.json', gitblob: abc", "did you mean 'git_blob'?"),
    ],
)
def test_nothing_unverified_is_fetched(call: Call, mine: Any, source: str, error: str) -> None:
    code, _, err = call("benchmarks", "fetch", "q", *mine(q=f"sources: [{{{source}}}]"))
    assert (code, len(err.splitlines())) == (2, 1)
    assert error in err


def test_a_file_of_ones_own(call: Call, mine: Any, tmp_path: Path) -> None:
    file = tmp_path / "my prompts.csv"
    file.write_text("id,text,group\n1,a cat,A\n2,a dog,B\n")
    shown = json.loads(call("benchmarks", "show", str(file), "--json")[1])
    assert (shown["path"], shown["format"], shown["groups"]) == (str(file), "prompts_csv", {"A": 1, "B": 1})
    shown = json.loads(call("benchmarks", "show", "q", "--json", *mine(q=f"file: '{file}'\nlicense: mine"))[1])
    assert (shown["path"], shown["prompts"], shown["license"]) == (str(file), 2, "mine")
    code, _, err = call("benchmarks", "show", "q", *mine(q=f"file: '{file}'\nsha256: {'0' * 64}"))
    assert code == 2
    assert "q.yaml:3: " in err
    assert "is another file: its sha256 is" in err


def test_list_has_every_entry_and_says_what_is_missing(call: Call, mine: Any) -> None:
    code, out, _ = call("benchmarks", "list", "--json", *mine(broken="sources: []"))
    rows = {row["name"]: row for row in json.loads(out)["benchmarks"]}
    assert code == 0
    assert {name: rows[name]["status"] for name in ("dsg1k", "tifa", "geneval2", "broken")} == {
        "dsg1k": "present", "tifa": "absent", "geneval2": "bring your own", "broken": "damaged",
    }  # fmt: skip
    assert "CC-BY-NC-4.0" in call("benchmarks", "list")[1]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["show", "dgs1k"], "unknown benchmark 'dgs1k'; did you mean 'dsg1k'?"),
        (["fetch", "geneval2"], "take geneval2_data.jsonl from github.com/facebookresearch/GenEval2"),
        (["show", "./gone.csv"], "gone.csv does not exist"),
    ],
)
def test_mistakes_are_one_line(call: Call, words: list[str], error: str) -> None:
    code, out, err = call("benchmarks", *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert error in err

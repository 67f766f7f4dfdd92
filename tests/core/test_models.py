"""Models without a network: sources, pins, digests, families, damaged files."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from selma_core.errors import ConfigError, ModelError, UnknownNameError
from selma_core.models import check_safetensors, detect_family, folder_digest
from tests.core.support import MakeRegistry

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHA = "ab" * 32


def safetensors(size: int = 16, header: dict[str, Any] | None = None) -> bytes:
    table = {"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, size]}} if header is None else header
    text = json.dumps(table).encode()
    return len(text).to_bytes(8, "little") + text + b"\0" * size


def pipeline(folder: Path, name: str = "StableDiffusionPipeline") -> Path:
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": name}))
    (folder / "unet" / "model.safetensors").write_bytes(safetensors())
    return folder


def age(folder: Path) -> None:
    """Files as they are a minute later: no longer so fresh that their hash is not remembered."""
    then = time.time() - 60
    for file in folder.rglob("*"):
        os.utime(file, (then, then))


def model_yaml(*sources: str) -> str:
    return "summary: m\nsources:\n" + "".join(f"  - {source}\n" for source in sources)


def test_folder_of_the_registry(make_registry: MakeRegistry, tmp_path: Path) -> None:
    registry = make_registry({"models/m.yaml": model_yaml("{folder: weights/m}")})
    folder = pipeline(tmp_path / "registry-mine" / "models" / "weights" / "m")
    entry = registry.entry("models", "m")
    assert entry.path == folder
    assert entry.data["family"] == "sd"
    assert entry.pin == f"sha256:{folder_digest(folder)}"


def test_folder_that_holds_only_gguf_files(make_registry: MakeRegistry, tmp_path: Path) -> None:
    folder = tmp_path / "llm"
    folder.mkdir()
    (folder / "m.gguf").write_bytes(b"GGUF and more")
    registry = make_registry({"models/m.yaml": model_yaml(f"{{folder: {folder}}}")})
    for name in (str(folder), "m"):
        entry = registry.entry("models", name)
        assert (entry.path, entry.data["family"]) == (folder, "gguf")
    (folder / "config.json").write_text('{"model_type": "llama"}')
    assert registry.entry("models", f"{folder}/").data["family"] == "llama"


def test_first_present_source_wins(make_registry: MakeRegistry, tmp_path: Path) -> None:
    second = pipeline(tmp_path / "second")
    hub = f"{{hub: a/b, revision: {COMMIT}}}"
    registry = make_registry({"models/m.yaml": model_yaml("{folder: absent}", hub, f"{{folder: {second}}}")})
    assert registry.entry("models", "m").path == second


def test_pin_of_a_hub_model_is_known_before_it_is_here(make_registry: MakeRegistry) -> None:
    registry = make_registry({"models/m.yaml": model_yaml(f"{{hub: a/b, revision: {COMMIT}}}")})
    entry = registry.entry("models", "m", need_files=False)
    assert (entry.pin, entry.path) == (f"hub:a/b@{COMMIT}", None)
    with pytest.raises(ModelError, match="model 'm' is not on this machine; type: selma models fetch m"):
        registry.entry("models", "m")
    direct = registry.entry("models", f"hub:a/b@{COMMIT}", need_files=False)
    assert direct.pin == entry.pin


def test_missing_folder_is_named(make_registry: MakeRegistry, tmp_path: Path) -> None:
    registry = make_registry({"models/m.yaml": model_yaml(f"{{folder: {tmp_path}/absent}}")})
    with pytest.raises(ModelError, match=f"model 'm': the folder {tmp_path}/absent does not exist"):
        registry.entry("models", "m", need_files=False)


@pytest.mark.parametrize(
    ("name", "error", "expected"),
    [
        ("hub:a/b", ModelError, f"pin the revision.*hub:a/b@<commit>"),  # noqa: F541
        ("hub:a/b@main", ModelError, "pin the revision"),
        ("hub:nothing", ModelError, "is written hub:owner/name@<commit>"),
        ("a/b", UnknownNameError, "a hub model is written hub:a/b@<commit>, a folder ./a/b"),
        (f"hub:a/b@{COMMIT}/*.gguf", ModelError, r"'\*\.gguf' is no path of one file within the repository"),
        (f"hub:a/b@{COMMIT}/../x.gguf", ModelError, "is no path of one file within the repository"),
        (f"hub:a/b@{COMMIT}/unet", ModelError, r"'unet' must end in \.gguf"),
        ("hub:a/b@main/x.gguf", ModelError, "pin the revision"),
        ("./absent", ModelError, "the folder .*absent does not exist"),
        ("nme", UnknownNameError, "did you mean 'name'"),
    ],
)
def test_name_that_is_no_model(make_registry: MakeRegistry, name: str, error: type[Exception], expected: str) -> None:
    registry = make_registry({"models/name.yaml": model_yaml(f"{{hub: a/b, revision: {COMMIT}}}")})
    with pytest.raises(error, match=expected):
        registry.entry("models", name)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{hub: a/b}", "needs 'revision', a commit of 40 hexadecimal digits"),
        ("{hub: a/b, revision: main}", "needs 'revision'"),
        ("{hub: a/b, revison: x}", "unknown key 'revison' of a hub source; did you mean 'revision'"),
        ("{url: 'https://x/y.gguf'}", "needs 'sha256'"),
        (f"{{url: 'file:///etc/passwd', sha256: {SHA}}}", "url must begin with https://"),
        (f"{{wheel: name, member: m, sha256: {SHA}}}", "wheel: name==version"),
        (f"{{wheel: '--index-url==x', member: m, sha256: {SHA}}}", "wheel: name==version"),
        (f"{{wheel: name==1, sha256: {SHA}}}", "member"),
        ("{ftp: x}", "must have one of the keys folder, hub, url, wheel"),
        ("text", "must have one of the keys"),
    ],
)
def test_source_that_is_not_pinned_or_not_understood(make_registry: MakeRegistry, source: str, expected: str) -> None:
    registry = make_registry({"models/m.yaml": model_yaml(source)})
    with pytest.raises(ConfigError, match=expected) as caught:
        registry.entry("models", "m", need_files=False)
    assert "m.yaml: sources[0]" in str(caught.value)


def test_digest_depends_on_names_and_contents_only(tmp_path: Path) -> None:
    one, two = pipeline(tmp_path / "one"), pipeline(tmp_path / "two")
    assert folder_digest(one) == folder_digest(two)
    (two / ".gitattributes").write_text("x")
    assert folder_digest(one) == folder_digest(two)
    (two / "unet" / "model.safetensors").rename(two / "unet" / "other.safetensors")
    assert folder_digest(one) != folder_digest(two)


def test_digest_remembers_hashes_of_unchanged_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pipeline(tmp_path / "m")
    age(folder)
    before = folder_digest(folder)
    read: list[Path] = []
    monkeypatch.setattr("selma_core.models.digest.sha256_file", lambda path: read.append(path) or "0")
    assert folder_digest(folder) == before
    assert read == []


def test_digest_sees_a_change_of_equal_length(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "m")
    age(folder)
    before = folder_digest(folder)
    file = folder / "unet" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    assert folder_digest(folder) != before


def test_digest_needs_no_writable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SELMA_CACHE", str(tmp_path / "file"))
    folder = pipeline(tmp_path / "m")
    age(folder)
    assert len(folder_digest(folder)) == 64


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("StableDiffusionPipeline", "sd"),
        ("StableDiffusionXLPipeline", "sdxl"),
        ("StableDiffusion3Pipeline", "sd3"),
        ("FluxPipeline", "flux"),
        ("PixArtSigmaPipeline", "pixart"),
        ("KandinskyV22Pipeline", "kandinsky_v22"),
    ],
)
def test_family_of_a_pipeline(tmp_path: Path, name: str, family: str) -> None:
    assert detect_family(pipeline(tmp_path / "m", name)) == family


def test_family_of_other_models(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert detect_family(tmp_path) == "llama"
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    assert detect_family(tmp_path / "x.gguf") == "gguf"
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"neither model_index\.json"):
        detect_family(tmp_path / "empty")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (safetensors()[:-1], r"is truncated: \d+ of \d+ bytes"),
        (safetensors()[:20], "header is not whole"),
        (safetensors()[:4], "header is not whole"),
        (b"", "header is not whole"),
        (safetensors() + b"x", "is too long"),
        (b"\x04" + b"\0" * 7 + b"nope", "header is not JSON"),
        (safetensors(header={"w": {"shape": [1]}}), "has no data offsets"),
    ],
)
def test_damaged_safetensors(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=expected) as caught:
        check_safetensors(file)
    assert str(file) in str(caught.value)


def test_real_safetensors_pass(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    from safetensors.numpy import save_file

    save_file({"a": numpy.ones((3, 4)), "b": numpy.zeros(0)}, tmp_path / "x.safetensors", metadata={"k": "v"})
    check_safetensors(tmp_path / "x.safetensors")


def test_model_with_a_truncated_file_is_refused_before_it_is_loaded(
    make_registry: MakeRegistry, tmp_path: Path
) -> None:
    folder = pipeline(tmp_path / "m")
    file = folder / "unet" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(ModelError, match=r"model\.safetensors: is truncated"):
        make_registry({}).entry("models", str(folder))

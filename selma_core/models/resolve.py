"""From a model's name or sources to a pin and a place on this machine, without a network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selma_core.data import Entry
from selma_core.errors import ConfigError, ModelError
from selma_core.files import git_blob_file
from selma_core.models.digest import folder_digest
from selma_core.models.family import detect_family
from selma_core.models.safetensors_check import check_folder
from selma_core.models.sources import Source, hub_source, is_commit

_HUB = re.compile(r"^hub:([\w.-]+/[\w.-]+)(?:@([^/]*)(?:/(.+))?)?$")


def direct_model(name: str, *, need_files: bool) -> Entry | None:
    """The entry of a model given as a folder (`./my_model`, `/models/x`) or as `hub:owner/name@<commit>`, which may
    end in the name of one GGUF file (`.../model-Q4_K_M.gguf`); else None.

    Raises:
        ModelError: the folder is missing or no model; the hub id is not pinned or not fetched yet.
    """
    if name.startswith("hub:"):
        source = hub_of(name)
        return resolve_sources([source], section="models", name=name, provider="hub", data={}, need_files=need_files)
    path = Path(name).expanduser()
    if name.startswith(("/", "./", "../", "~")) or path.is_dir() or path.suffix == ".gguf":
        return _folder(name, path)
    return None


def resolve_sources(
    sources: Sequence[Source], *, section: str, name: str, provider: str, data: Mapping[str, Any], need_files: bool
) -> Entry:
    """The entry that the first present source gives; without one, the first whose pin is known.

    Raises:
        ModelError: nothing is here and files are needed, or only folders are named and none exists.
    """
    for source in sources:
        if source.present:
            return _present(source, section, name, provider, data)
    if need_files or not any(source.pin for source in sources):
        raise ModelError(_absent(sources, section, name))
    pin = next(source.pin for source in sources if source.pin)
    return Entry(section=section, name=name, provider=provider, data=dict(data), pin=pin)


def _present(source: Source, section: str, name: str, provider: str, data: Mapping[str, Any]) -> Entry:
    check_folder(source.target)
    pin = source.pin or f"sha256:{folder_digest(source.target)}"
    if source.sha256 and folder_digest(source.target) != source.sha256:
        raise ModelError(f"{source.target}: is not what was fetched (its sha256 differs); delete it, fetch again")
    if source.git_blob and git_blob_file(source.target) != source.git_blob:
        raise ModelError(f"{source.target}: is not what was fetched (its git blob id differs); delete it, fetch again")
    data = {"family": detect_family(source.target), **data} if section == "models" else dict(data)
    return Entry(section=section, name=name, provider=provider, data=data, pin=pin, path=source.target)


def _absent(sources: Sequence[Source], section: str, name: str) -> str:
    title = f"{section.removesuffix('s')} '{name}'"
    if all(source.type == "folder" for source in sources):
        return f"{title}: the folder {sources[0].target} does not exist"
    command = f"{section} fetch {name}" if section in ("models", "benchmarks") else f"models fetch {name}"
    option = "" if section in command else f" --section {section}"
    return f"{title} is not on this machine; type: selma {command}{option}"


def hub_of(name: str) -> Source:
    """The source that `hub:owner/name@<commit>` or `hub:owner/name@<commit>/FILE.gguf` names.

    Repositories of GGUF files hold one model many times over, so one file is named; it is all that is fetched.

    Raises:
        ModelError: it is not of that form, or not pinned to a commit.
    """
    match = _HUB.match(name)
    if match is None:
        raise ModelError(f"'{name}': a hub model is written hub:owner/name@<commit>, or with /FILE.gguf after it")
    repository, revision, member = match.groups(default="")
    if not is_commit(revision):
        raise ModelError(
            f"'{name}': pin the revision, a commit of 40 hexadecimal digits, so that results can be repeated: "
            f"hub:{repository}@<commit>"
        )
    if member and not member.endswith(".gguf"):
        raise ModelError(f"'{name}': only a GGUF file is named by itself, so '{member}' must end in .gguf")
    try:
        return hub_source(repository, revision, repository, member)
    except ConfigError as error:
        raise ModelError(f"'{name}': {error}") from None


def _folder(name: str, path: Path) -> Entry:
    if not path.exists():
        raise ModelError(f"model '{name}': the folder {path.resolve()} does not exist")
    source = Source(type="folder", where=name, target=path.resolve())
    return resolve_sources([source], section="models", name=name, provider="path", data={}, need_files=True)

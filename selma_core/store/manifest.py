"""What a stored artifact says of itself: what made it, from what, and the hash of every file."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from selma_core.errors import ArtifactError
from selma_core.files import sha256_file

MANIFEST = "manifest.json"
SCHEMA = 1
# Whose version may explain a difference between two machines.
_LIBRARIES = ("selma", "torch", "diffusers", "transformers", "peft", "accelerate", "safetensors", "numpy", "pillow")


@cache
def library_versions() -> Mapping[str, str]:
    """Versions of the installed libraries that results may depend on; nothing is imported, and they are read once."""
    found: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return MappingProxyType(found)


@attrs.frozen(kw_only=True)
class StoredFile:
    """One file of an artifact."""

    sha256: str
    size: int


@attrs.frozen(kw_only=True)
class Manifest:
    """The manifest of an artifact.

    Attributes:
        fingerprint: sha256 of `payload` in canonical JSON.
        payload: what was hashed: kind, plugin, provider, revision, source, options, seed, inputs.
        label: id of the node that first made it. kind, plugin, provider, version: who made it.
        inputs: port -> fingerprints of what it read.
        created: UTC, ISO 8601. seconds: how long the attempt ran that finished it.
        peak_memory: bytes while it ran: `rss` of the process, `cuda` of torch's allocator; empty where not measured.
        files: name -> hash and size. warnings: what the stage wanted the user to see.
        libraries, python, platform: where it was made.
    """

    fingerprint: str
    payload: Mapping[str, Any]
    label: str
    kind: str
    plugin: str
    provider: str
    version: str
    inputs: Mapping[str, tuple[str, ...]]
    seconds: float
    files: Mapping[str, StoredFile]
    warnings: tuple[str, ...] = ()
    peak_memory: Mapping[str, int] = attrs.field(factory=dict)
    created: str = attrs.field(factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    libraries: Mapping[str, str] = attrs.field(factory=library_versions)
    python: str = attrs.field(factory=platform.python_version)
    platform: str = attrs.field(factory=platform.platform)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, with the schema number first."""
        return {"schema": SCHEMA, **attrs.asdict(self), "libraries": dict(self.libraries)}


def hash_files(folder: Path) -> dict[str, StoredFile]:
    """Hash and size of every file below a folder but the manifest, by relative POSIX path, sorted."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {
        path.relative_to(folder).as_posix(): StoredFile(sha256=sha256_file(path), size=path.stat().st_size)
        for path in paths
    }


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of an artifact folder.

    Raises:
        ArtifactError: when it is missing or broken; names the file.
    """
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("schema") != SCHEMA:
            raise ArtifactError(f"{path}: was written by another version of SELMA")
        files = {name: StoredFile(**file) for name, file in data.pop("files").items()}
        inputs = {port: tuple(found) for port, found in data.pop("inputs").items()}
        return Manifest(files=files, inputs=inputs, warnings=tuple(data.pop("warnings")), **data)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path}: is no manifest ({type(error).__name__}: {error})") from None

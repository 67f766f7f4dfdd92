"""Where plugin modules come from: entry points of the group `selma`, and single files."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

import attrs

from selma_core.errors import PluginError

GROUP = "selma"


@attrs.frozen(kw_only=True)
class Candidate:
    """A plugin that is known to exist and not imported yet.

    Attributes:
        plugin: the name to register under. provider, version: as in `Offer`.
        entry_point: its name within the distribution, "" for a file.
        load: imports the module; may raise anything. source: sha256 of a single file, else None.
    """

    plugin: str
    provider: str
    version: str
    entry_point: str
    load: Callable[[], ModuleType]
    source: str | None = None


def from_entry_points() -> list[Candidate]:
    """Every entry point of the group, sorted by distribution and name.

    A distribution that is on the path twice (an editable install beside a build folder) is taken once.
    """
    found: dict[str, Candidate] = {}
    for point in entry_points(group=GROUP):
        candidate = _from_point(point)
        found.setdefault(candidate.plugin, candidate)
    return [found[name] for name in sorted(found)]


def _from_point(point: EntryPoint) -> Candidate:
    provider = point.dist.name if point.dist else "unknown"
    version = point.dist.version if point.dist else "0"
    return Candidate(
        plugin=f"{provider}:{point.name}",
        provider=provider,
        version=version,
        entry_point=point.name,
        load=lambda: _module_of(point),
    )


def _module_of(point: EntryPoint) -> ModuleType:
    loaded = point.load()
    if not isinstance(loaded, ModuleType):
        raise PluginError(f"entry point '{point.name} = {point.value}' is not a module; name the module alone")
    return loaded


def from_file(path: Path) -> Candidate:
    """A plugin in one file. What is hashed is what runs: the file is read once.

    Raises:
        PluginError: when the file cannot be read.
    """
    path = path.expanduser().resolve()
    try:
        code = path.read_bytes()
    except OSError as error:
        raise PluginError(f"plugin file {path}: {error.strerror or error}") from error
    source = hashlib.sha256(code).hexdigest()
    return Candidate(
        plugin=str(path),
        provider=path.name,
        version=source[:12],
        entry_point="",
        load=lambda: _run_file(path, code, source),
        source=source,
    )


def _run_file(path: Path, code: bytes, source: str) -> ModuleType:
    name = f"selma_file_{path.stem}_{source[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise PluginError(f"plugin file {path} is not a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    # attrs and typing look classes up through sys.modules while the module still runs
    sys.modules[name] = module
    try:
        exec(compile(code, str(path), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module

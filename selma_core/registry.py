"""Named data: recipes, skills, models, benchmarks, ablations; one YAML file each, from any number of folders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from selma_core.data import Entry
from selma_core.errors import AmbiguousNameError, ConfigError, ModelError, UnknownNameError, did_you_mean
from selma_core.models import Source, direct_model, fetch_entry, folder_digest, parse_sources, resolve_sources
from selma_core.models.fetch import Progress
from selma_core.models.local import is_path, local_entry
from selma_core.models.resolve import hub_of
from selma_core.records import RegistrySourceRecord
from selma_core.yaml_files import Document, read_yaml

SECTIONS = ("recipes", "skills", "models", "benchmarks", "ablations")
# Words about an entry: they change no result, so they stay out of its pin.
_DOCUMENTATION = ("summary", "license", "reference", "notes", "sha256", "evaluator", "images_per_prompt", "aliases")


@attrs.frozen(kw_only=True)
class Located:
    """A registry file before it is read. Attributes: provider = the registry source; root = that source's folder."""

    section: str
    name: str
    provider: str
    file: Path
    root: Path


class Registry:
    """All entries of the given sources. Nothing is read before it is asked for."""

    def __init__(self, sources: Sequence[RegistrySourceRecord]) -> None:
        self._sources = tuple(sources)
        self._located: dict[str, tuple[Located, ...]] = {}
        self._documents: dict[Path, Document] = {}
        self._entries: dict[tuple[str, str], Entry] = {}

    def located(self, section: str) -> tuple[Located, ...]:
        """The files of a section, sorted by name and provider.

        Raises:
            UnknownNameError: there is no such section.
        """
        if section not in SECTIONS:
            raise UnknownNameError(f"unknown registry section '{section}'; {did_you_mean(section, SECTIONS)}")
        if section not in self._located:
            found = [
                Located(section=section, name=file.stem, provider=source.name, file=file, root=source.path)
                for source in self._sources
                for file in (source.path / section).glob("*.yaml")
            ]
            self._located[section] = tuple(sorted(found, key=lambda one: (one.name, one.provider)))
        return self._located[section]

    def names(self, section: str) -> list[str]:
        """The names of a section, sorted, each once."""
        return sorted({one.name for one in self.located(section)})

    def find(self, section: str, name: str) -> Located:
        """The file that `name` or `provider/name` stands for; where no file is called so, the one that lists the name
        under `aliases`.

        Raises:
            UnknownNameError: with the nearest name. AmbiguousNameError: two sources have the bare name.
        """
        provider, slash, bare = name.rpartition("/")
        of_provider = [one for one in self.located(section) if not slash or one.provider == provider]
        found = [one for one in of_provider if one.name == bare]
        found = found or [one for one in of_provider if bare in self._aliases(one)]
        if len(found) > 1:
            choices = " or ".join(f"'{one.provider}/{one.name}'" for one in found)
            raise AmbiguousNameError(f"{section} '{name}' is in several registries; write {choices}")
        if not found:
            raise UnknownNameError(f"unknown {section.removesuffix('s')} '{name}'; {self._hint(section, name)}")
        return found[0]

    def document(self, section: str, name: str) -> Document:
        """The YAML of an entry, with its lines.

        Raises:
            ConfigError: it cannot be read, or has no `summary`.
        """
        return self._document(self.find(section, name).file)

    def data(self, section: str, name: str) -> dict[str, Any]:
        """What an entry's file says; nothing for a file or folder named by its path.

        Raises:
            UnknownNameError, ConfigError: as `find` and `document`.
        """
        if section == "benchmarks" and is_path(name):
            return {}
        return self.document(section, name).data

    def summary(self, section: str, name: str) -> str:
        """The one line that listings show."""
        return str(self.document(section, name).data["summary"])

    def entry(self, section: str, name: str, *, need_files: bool = True) -> Entry:
        """An entry with its pin, which is known without a network.

        Args:
            name: `name`, `provider/name`; for models also a folder or `hub:owner/name@<commit>` (and `/FILE.gguf`); for
                benchmarks also a path (`./my.csv`); for `files` and `folders` always one.
            need_files: raise when the files it stands for are not on this machine.

        Raises:
            UnknownNameError, AmbiguousNameError, ConfigError: as `find` and `document`.
            ModelError: files are missing or damaged; the message says which command fetches them.
        """
        key = (section, name)
        known = self._entries.get(key)
        if known is not None and (known.path is not None or not need_files):
            return known
        self._entries[key] = self._resolve(section, name, need_files)
        return self._entries[key]

    def sources(self, section: str, name: str) -> tuple[Source, ...]:
        """Where an entry's files can be had; empty for an entry without `sources`.

        Raises:
            ConfigError: a source that is not pinned or not understood.
        """
        if section == "models" and name.startswith("hub:"):
            return (hub_of(name),)
        if section == "benchmarks" and is_path(name):
            return ()
        located, document = self.find(section, name), self.document(section, name)
        if "sources" not in document.data:
            return ()
        folders = (located.file.parent, located.root)
        return parse_sources(document.data["sources"], name=located.name, folders=folders, where=str(located.file))

    def fetch(self, section: str, name: str, progress: Progress | None = None) -> Entry:
        """Downloads an entry's files if they are not here; returns the entry with its path.

        Raises:
            ModelError: with the reason of every source that failed.
        """
        if section != "models" or direct_model(name, need_files=False) is None or name.startswith("hub:"):
            sources = self.sources(section, name)
            if sources:
                fetch_entry(name, sources, progress, section=section)
        return self.entry(section, name)

    def _document(self, file: Path) -> Document:
        if file not in self._documents:
            document = read_yaml(file)
            if not isinstance(document.data.get("summary"), str):
                raise ConfigError(f"{file}: needs 'summary', one line for listings")
            self._documents[file] = document
        return self._documents[file]

    def _aliases(self, one: Located) -> list[str]:
        try:
            found = self._document(one.file).data.get("aliases")
        except ConfigError:  # a damaged neighbour has no other names; whoever asks for it itself is told
            return []
        return found if isinstance(found, list) else []

    def _resolve(self, section: str, name: str, need_files: bool) -> Entry:
        local = local_entry(section, name)
        if local is not None:
            return local
        direct = direct_model(name, need_files=need_files) if section == "models" else None
        if direct is not None:
            return direct
        located, document = self.find(section, name), self.document(section, name)
        if section == "models" or "sources" in document.data:
            return self._from_sources(located, document, need_files)
        return _from_data(located, document)

    def _from_sources(self, located: Located, document: Document, need_files: bool) -> Entry:
        qualified = f"{located.provider}/{located.name}"
        sources = self.sources(located.section, qualified)
        if not sources:
            raise ConfigError(f"{located.file}: needs 'sources', a list of folder, hub, url or wheel sources")
        return resolve_sources(
            sources,
            section=located.section,
            name=located.name,
            provider=located.provider,
            data=document.data,
            need_files=need_files,
        )

    def _hint(self, section: str, name: str) -> str:
        if section == "models" and "/" in name:
            return f"a hub model is written hub:{name}@<commit>, a folder ./{name}"
        return did_you_mean(name.rpartition("/")[2], self.names(section))


def _from_data(located: Located, document: Document) -> Entry:
    path = located.file
    pinned: dict[str, Any] = {key: value for key, value in document.data.items() if key not in _DOCUMENTATION}
    if isinstance(document.data.get("obtain"), str):
        raise ModelError(
            f"{located.section.removesuffix('s')} '{located.name}' holds no data: {document.data['obtain']}"
        )
    if isinstance(document.data.get("file"), str):
        path = located.file.parent / Path(document.data["file"]).expanduser()
        if not path.exists():
            raise ModelError(f"{document.where('file')}: the file {path} does not exist")
        pinned["file"] = folder_digest(path)
        if document.data.get("sha256", pinned["file"]) != pinned["file"]:
            raise ModelError(f"{document.where('sha256')}: {path} is another file: its sha256 is {pinned['file']}")
    text = json.dumps(pinned, sort_keys=True, ensure_ascii=False)
    return Entry(
        section=located.section,
        name=located.name,
        provider=located.provider,
        data=document.data,
        pin=f"sha256:{hashlib.sha256(text.encode()).hexdigest()}",
        path=path,
    )

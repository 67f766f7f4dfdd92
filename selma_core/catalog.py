"""The catalog: discovers plugins, quarantines broken ones, looks names up, builds implementations, tells observers."""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from selma_core import loading
from selma_core.discovery import Candidate, Selection, from_entry_points, from_file, read_plugin
from selma_core.errors import AmbiguousNameError, PluginError, UnknownNameError, did_you_mean
from selma_core.events import Event, RunFinished, RunStarted, StageFinished, StageStarted
from selma_core.hookspecs import PROJECT, SelmaSpecs
from selma_core.kinds import BY_NAME, KINDS
from selma_core.offers import Offer, Problem
from selma_core.records import RegistrySourceRecord

__all__ = ["Catalog", "Offer", "Problem"]

_log = logging.getLogger("selma")
_ORDER = {kind.name: index for index, kind in enumerate(KINDS)}
_EVENT_HOOKS = {
    RunStarted: "selma_run_started",
    StageStarted: "selma_stage_started",
    StageFinished: "selma_stage_finished",
    RunFinished: "selma_run_finished",
}


class Catalog:
    """All plugins that this process knows; make one with `Catalog.discover`.

    Attributes:
        problems: the quarantined plugins. files: the single-file plugins that were asked for, resolved.
        providers: of the plugins that were taken, those that offer nothing of any kind (hooks, registry data) too.
        timings: seconds of import and hooks per plugin (`distribution:entry_point` or path).
    """

    def __init__(self) -> None:
        self.problems: tuple[Problem, ...] = ()
        self.files: tuple[Path, ...] = ()
        self.providers: frozenset[str] = frozenset()
        self.timings: dict[str, float] = {}
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(SelmaSpecs)
        self._modules: dict[str, ModuleType] = {}
        self._offers: dict[tuple[str, str, str], Offer] = {}
        self._sorted: dict[str | None, tuple[Offer, ...]] = {}
        self._sources: tuple[RegistrySourceRecord, ...] = ()
        self._warned: set[tuple[str, str]] = set()

    @classmethod
    def discover(cls, files: Sequence[Path] = (), *, select: str | None = None, strict: bool | None = None) -> Catalog:
        """Finds all plugins.

        Args:
            files: single-file plugins. select: as `SELMA_PLUGINS`, which it replaces (see `Selection`).
            strict: raise instead of quarantining; None reads `SELMA_PLUGINS_STRICT`.

        Raises:
            PluginError: under `strict`, with one line per broken plugin.
        """
        catalog = cls()
        catalog._add_installed(os.environ.get("SELMA_PLUGINS") if select is None else select)
        for path in files:
            catalog._add_file(Path(path))
        strict = os.environ.get("SELMA_PLUGINS_STRICT", "0") not in ("", "0") if strict is None else strict
        if strict and catalog.problems:
            raise PluginError("\n".join(problem.line for problem in catalog.problems))
        return catalog

    def offers(self, kind: str | None = None) -> tuple[Offer, ...]:
        """All offers (of one kind), in the order of kind, name, provider."""
        if kind not in self._sorted:
            wanted = [offer for offer in self._offers.values() if kind in (None, offer.kind.name)]
            wanted.sort(key=lambda offer: (_ORDER[offer.kind.name], offer.name, offer.provider))
            self._sorted[kind] = tuple(wanted)
        return self._sorted[kind]

    def find(self, kind: str, name: str) -> Offer:
        """The offer that `name` or `provider/name` stands for.

        Raises:
            UnknownNameError: with the nearest name and the plugins that are quarantined.
            AmbiguousNameError: a bare name that several providers have.
        """
        if kind not in BY_NAME:
            raise UnknownNameError(f"unknown kind '{kind}'; {did_you_mean(kind, BY_NAME)}")
        provider, slash, bare = name.rpartition("/")
        found = [offer for offer in self.offers(kind) if offer.name == bare]
        if slash:
            found = [offer for offer in found if offer.provider == provider]
        if len(found) > 1:
            choices = " or ".join(f"'{offer.qualified}'" for offer in found)
            raise AmbiguousNameError(f"{kind} '{name}' is offered by {len(found)} providers; write {choices}")
        if not found:
            raise UnknownNameError(self._unknown(kind, name, bool(slash)))
        return found[0]

    def load(self, offer: Offer) -> Callable[..., Any]:
        """Imports the factory of an offer.

        Raises:
            MissingExtraError: a package is not installed; the message holds the pip line.
            PluginError: the factory cannot be imported.
        """
        return loading.load_factory(offer, self._modules.get(offer.plugin))

    def build(self, offer: Offer, options: Any) -> Any:
        """Calls the factory with bound options and checks the result against the kind's protocol.

        Raises:
            MissingExtraError, PluginError: as `load`; also when the factory raises or a method is missing.
        """
        return loading.build(offer, self.load(offer), options)

    def emit(self, event: Event) -> None:
        """Calls the observers of an event, in registration order. One that raises is reported once and ignored."""
        hook = _EVENT_HOOKS.get(type(event))
        if hook is None:  # progress and warnings have no hook: they are for trackers and progress bars
            return
        for impl in getattr(self._manager.hook, hook).get_hookimpls():
            try:
                impl.function(*([event] if impl.argnames else []))
            except Exception as error:
                self._warn_once(impl.plugin_name, hook, error)

    def registry_sources(self) -> tuple[RegistrySourceRecord, ...]:
        """The folders of registry data that plugins offer, in registration order."""
        return self._sources

    def _add_installed(self, select: str | None) -> None:
        selection = Selection.parse(select)
        candidates = from_entry_points()
        for candidate in candidates:
            if selection.takes(candidate):
                self._add(candidate)
        for word in selection.unmatched(candidates):
            known = {name for c in candidates for name in (c.entry_point, c.provider)}
            line = f"SELMA_PLUGINS names no installed plugin '{word}'; {did_you_mean(word, known)}"
            self._problem("SELMA_PLUGINS", "SELMA_PLUGINS", line)

    def _add_file(self, path: Path) -> None:
        self.files += (path.expanduser().resolve(),)
        try:
            candidate = from_file(path)
        except PluginError as error:
            self._problem(path.name, path.name, str(error))
        else:
            self._add(candidate)

    def _add(self, candidate: Candidate) -> None:
        start = time.perf_counter()
        try:
            self._register(candidate)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin that calls sys.exit on import must not end `selma --help`
            if self._manager.has_plugin(candidate.plugin):
                self._manager.unregister(name=candidate.plugin)
            line = f"plugin '{candidate.plugin}' is quarantined: {_one_line(error)}"
            self._problem(candidate.provider, candidate.plugin, line, traceback.format_exc())
        self.timings[candidate.plugin] = time.perf_counter() - start

    def _register(self, candidate: Candidate) -> None:
        module = candidate.load()
        if self._manager.register(module, name=candidate.plugin) is None:
            raise PluginError("its registration was blocked")
        found = read_plugin(self._manager, candidate, module)
        for offer in found.offers:
            first = self._offers.get(_key(offer))
            if first is not None:
                raise PluginError(f"{offer.kind.name} '{offer.name}' is already offered by '{first.plugin}'")
        self._modules[candidate.plugin] = module
        self.providers |= {candidate.provider}
        self._offers.update({_key(offer): offer for offer in found.offers})
        self._sources += found.sources
        self._sorted.clear()

    def _problem(self, provider: str, plugin: str, line: str, trace: str = "") -> None:
        self.problems += (Problem(provider=provider, plugin=plugin, line=line, trace=trace),)

    def _unknown(self, kind: str, name: str, qualified: bool) -> str:
        names = [offer.qualified if qualified else offer.name for offer in self.offers(kind)]
        line = f"unknown {kind} '{name}'; {did_you_mean(name, names)}"
        broken = ", ".join(sorted({problem.plugin for problem in self.problems}))
        return f"{line} (quarantined: {broken}; see: selma plugins list)" if broken else line

    def _warn_once(self, plugin: str, hook: str, error: Exception) -> None:
        if (plugin, hook) not in self._warned:
            self._warned.add((plugin, hook))
            _log.warning("plugin '%s': %s raised %s; the run goes on", plugin, hook, _one_line(error))
            _log.debug("", exc_info=error)


def _key(offer: Offer) -> tuple[str, str, str]:
    return offer.kind.name, offer.name, offer.provider


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, PluginError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

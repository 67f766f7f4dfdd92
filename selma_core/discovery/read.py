"""Calls the offering hooks of one registered plugin and checks all that it yields."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pluggy
from pluggy import HookImpl

from selma_core.discovery.candidates import Candidate
from selma_core.errors import PluginError, did_you_mean
from selma_core.hookspecs import PROJECT, SelmaSpecs
from selma_core.kinds import KINDS
from selma_core.offers import Found, Offer
from selma_core.records import NoOptions, RegistrySourceRecord

SOURCES_HOOK = "selma_registry_sources"
_HOOKS = frozenset(name for name in vars(SelmaSpecs) if name.startswith("selma_"))
_KIND_OF_HOOK = {kind.hook: kind for kind in KINDS}


def read_plugin(manager: pluggy.PluginManager, candidate: Candidate, module: ModuleType) -> Found:
    """All offers and registry sources of a plugin that `manager` has registered as `candidate.plugin`.

    Raises:
        PluginError: a hook that nobody calls, a record of the wrong type, options that cannot be bound.
        Exception: whatever a hook raises.
    """
    _check_unmarked(module)
    offers: list[Offer] = []
    sources: list[RegistrySourceRecord] = []
    for hook, impl in _implementations(manager, module):
        _check_hook(hook, impl)
        if hook == SOURCES_HOOK:
            sources += _typed(hook, impl, RegistrySourceRecord)
        elif hook in _KIND_OF_HOOK:
            offers += _offers(hook, impl, candidate)
    _check_twice(offers)
    return Found(offers=tuple(offers), sources=tuple(sources))


def _implementations(manager: pluggy.PluginManager, module: ModuleType) -> Iterator[tuple[str, HookImpl]]:
    for caller in manager.get_hookcallers(module) or ():
        for impl in caller.get_hookimpls():
            if impl.plugin is module:
                yield caller.name, impl


def _check_hook(hook: str, impl: HookImpl) -> None:
    if hook not in _HOOKS:
        raise PluginError(f"there is no hook '{hook}'; {did_you_mean(hook, _HOOKS)}")
    if impl.wrapper or impl.hookwrapper:
        raise PluginError(f"{hook} is a hook wrapper; a plugin may only add what it offers itself")


def _check_unmarked(module: ModuleType) -> None:
    for name, value in vars(module).items():
        if name in _HOOKS and callable(value) and not hasattr(value, f"{PROJECT}_impl"):
            raise PluginError(f"{name} lacks @hookimpl (from selma_core import hookimpl), so nothing would call it")


def _typed(hook: str, impl: HookImpl, wanted: type[Any]) -> list[Any]:
    result: Any = impl.function()
    if result is None:
        return []
    if isinstance(result, wanted):
        raise PluginError(f"{hook} returned one {wanted.__name__}; yield it, or return a list")
    records: list[Any] = list(result)
    for record in records:
        if not isinstance(record, wanted):
            raise PluginError(f"{hook} yielded a {type(record).__name__}; it must yield {wanted.__name__}")
    return records


def _offers(hook: str, impl: HookImpl, candidate: Candidate) -> Iterator[Offer]:
    kind = _KIND_OF_HOOK[hook]
    for record in _typed(hook, impl, kind.record):
        if record.options is not NoOptions:
            from selma_core.config.schema import check_options_class  # imports omegaconf

            check_options_class(record.options)
        yield Offer(
            kind=kind,
            record=record,
            provider=candidate.provider,
            version=candidate.version,
            source=candidate.source,
            plugin=candidate.plugin,
        )


def _check_twice(offers: list[Offer]) -> None:
    seen: set[tuple[str, str]] = set()
    for offer in offers:
        key = (offer.kind.name, offer.name)
        if key in seen:
            raise PluginError(f"{offer.kind.name} '{offer.name}' is yielded twice")
        seen.add(key)

"""From an offer to an implementation: imports the factory, calls it, checks what it gives."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from operator import attrgetter
from types import ModuleType
from typing import Any

from selma_core.errors import MissingExtraError, PluginError, SelmaError
from selma_core.offers import Offer


def load_factory(offer: Offer, plugin_module: ModuleType | None) -> Callable[..., Any]:
    """The callable that `offer.record.factory` names.

    Args:
        plugin_module: the module that yielded the record; a single-file plugin names itself by its file's stem.

    Raises:
        MissingExtraError, PluginError: see `Catalog.load`.
    """
    where, _, attribute = offer.record.factory.partition(":")
    own = offer.source is not None and plugin_module is not None and where in (_stem(offer), plugin_module.__name__)
    try:
        module = plugin_module if own else importlib.import_module(where)
        factory = attrgetter(attribute)(module)
    except Exception as error:
        raise _failure(offer, f"{offer.record.factory} cannot be imported", error) from error
    if not callable(factory):
        raise PluginError(f"{_title(offer)}: {offer.record.factory} is not callable")
    return factory  # type: ignore[no-any-return]


def build(offer: Offer, factory: Callable[..., Any], options: Any) -> Any:
    """`factory(options)`, checked against the protocol of the offer's kind."""
    try:
        built = factory(options)
    except SelmaError:
        raise
    except Exception as error:
        raise _failure(offer, "its factory failed", error) from error
    lacking = [name for name in protocol_members(offer.kind.protocol) if not _has(built, name)]
    if lacking:
        raise PluginError(f"{_title(offer)}: {type(built).__name__} lacks {', '.join(lacking)}")
    return built


def protocol_members(protocol: type) -> tuple[str, ...]:
    """The public names that a protocol class and its protocol bases demand, sorted."""
    names = {
        name
        for base in protocol.__mro__
        if getattr(base, "_is_protocol", False)
        for name in vars(base)
        if not name.startswith("_")
    }
    return tuple(sorted(names))


def _has(built: Any, name: str) -> bool:
    # looked up on the class too, so that a property that computes (or raises) is not run by the check
    return hasattr(type(built), name) or name in getattr(built, "__dict__", {}) or hasattr(built, name)


def _failure(offer: Offer, what: str, error: Exception) -> SelmaError:
    requires = offer.record.requires
    if requires and isinstance(error, ModuleNotFoundError):
        wanted = requires if offer.source else f"{offer.provider}[{requires}]"
        return MissingExtraError(
            f"{_title(offer)} needs the package '{error.name}', which is not installed; type: pip install '{wanted}'"
        )
    return PluginError(f"{_title(offer)}: {what}: {type(error).__name__}: {' '.join(str(error).split())}")


def _title(offer: Offer) -> str:
    return f"{offer.kind.name} '{offer.qualified}'"


def _stem(offer: Offer) -> str:
    return offer.provider.removesuffix(".py")

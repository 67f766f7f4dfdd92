"""Who hears of a run's events: plugins by hook, trackers switched on in the recipe, the caller."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from selma_core.events import Event

if TYPE_CHECKING:
    from selma_core.catalog import Catalog

_log = logging.getLogger("selma")


@attrs.define
class Observers:
    """Passes each event on, in order. A tracker that raises is reported once and then left alone.

    Attributes:
        catalog: for the event hooks. trackers: name -> tracker. caller: or None.
    """

    catalog: Catalog
    trackers: Mapping[str, Any]
    caller: Callable[[Event], None] | None = None
    _broken: set[str] = attrs.field(factory=set, init=False)

    def __call__(self, event: Event) -> None:
        """Passes one event on."""
        self.catalog.emit(event)
        for name, tracker in self.trackers.items():
            if name not in self._broken:
                self._track(name, tracker, event)
        if self.caller is not None:
            self.caller(event)

    def _track(self, name: str, tracker: Any, event: Event) -> None:
        try:
            tracker.on_event(event)
        except Exception as error:
            self._broken.add(name)
            _log.warning("tracker '%s' raised %s: %s; it is left out from here on", name, type(error).__name__, error)
            _log.debug("", exc_info=error)

"""`run.json`: written when a run begins and again when it ends."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

from selma_core.store import Store
from selma_core.store.manifest import library_versions


@attrs.define
class RunRecord:
    """Keeps the file up to date from the start on, so that `selma store gc` spares what a killed run had made.

    Attributes:
        extra: what every version of the file holds: the resolved recipe, where its values came from.
    """

    store: Store
    run_id: str
    extra: Mapping[str, Any]
    _started: float = attrs.field(factory=time.monotonic, init=False)
    _created: str = attrs.field(factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"), init=False)
    _last: Mapping[str, Any] = attrs.field(factory=dict, init=False)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return round(time.monotonic() - self._started, 3)

    def write(self, state: str, values: Mapping[str, Any] | None = None) -> None:
        """Writes the file.

        Args:
            state: `running`, `done`, `failed`, `interrupted`. values: None keeps those of the last time.
        """
        self._last = self._last if values is None else values
        more = {"created": self._created, "libraries": dict(library_versions()), **self.extra}
        self.store.write_run(self.run_id, {**self._last, "state": state, **more})

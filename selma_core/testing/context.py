"""A `Context` for tests of plugins: nothing is looked up, everything is what the test says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from selma_core.data import Entry
from selma_core.errors import ModelError, StageError
from selma_core.options import Slot
from selma_core.pool import Load, ModelKey


class Interrupted(BaseException):
    """Raised by `FakeContext.progress` when a kill is simulated; no `except Exception` can swallow it."""


@attrs.define(kw_only=True)
class FakeContext:
    """Implements `selma_core.protocols.Context`.

    Attributes:
        components: (kind, plugin name) -> what `component` gives. entries: (section, name) -> what `entry` gives.
        trained: what `scorer` gives. interrupt_after: raise `Interrupted` at this call of `progress`; None = never.
        calls: the (done, total) of every call of `progress`. warnings: the lines of `warn`.
        models: what `model` loaded, kept as long as the context.
    """

    workdir: Path
    seed: int = 0
    device: str = "cpu"
    components: Mapping[tuple[str, str], Any] = attrs.field(factory=dict)
    entries: Mapping[tuple[str, str], Entry] = attrs.field(factory=dict)
    trained: Entry | None = None
    interrupt_after: int | None = None
    calls: list[tuple[int, int]] = attrs.field(factory=list, init=False)
    warnings: list[str] = attrs.field(factory=list, init=False)
    models: dict[ModelKey, Any] = attrs.field(factory=dict, init=False)

    def component(self, kind: str, slot: Slot) -> Any:
        """The object given for this kind and name."""
        return self.components[kind, slot.use]

    def reward(self, slot: Slot) -> Any:
        """The object given for the kind `reward` and this name."""
        return self.components["reward", slot.use]

    def entry(self, section: str, name: str) -> Entry:
        """The entry given for this section and name.

        Raises:
            ModelError: the test gave none.
        """
        if (section, name) not in self.entries:
            raise ModelError(f"the test context has no {section} '{name}'")
        return self.entries[section, name]

    def scorer(self) -> Entry:
        """The scorer given as `trained`.

        Raises:
            StageError: the test gave none.
        """
        if self.trained is None:
            raise StageError("the test context has no scorer")
        return self.trained

    def model(self, key: ModelKey, load: Load) -> Any:
        """What `load` gives; loaded once per key."""
        if key not in self.models:
            self.models[key] = load()
        return self.models[key]

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Records the call, and interrupts when it is time."""
        self.calls.append((done, total))
        if self.interrupt_after is not None and len(self.calls) >= self.interrupt_after:
            raise Interrupted

    def warn(self, message: str) -> None:
        """Records the line."""
        self.warnings.append(message)

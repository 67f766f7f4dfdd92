"""torch's thread count is part of its arithmetic: sums are split by it. So every stage runs with the same."""

from __future__ import annotations

import sys

import attrs


@attrs.define
class TorchThreads:
    """Holds torch at `count` threads while a stage runs; does nothing as long as torch is not imported.

    Attributes:
        count: threads for every stage, whatever the executor.
    """

    count: int = 1
    _before: int | None = attrs.field(default=None, init=False)

    def apply(self) -> None:
        """Sets the count if torch has been imported by now; cheap to call again."""
        torch = sys.modules.get("torch")
        if torch is None or not hasattr(torch, "set_num_threads"):
            return
        if self._before is None:
            self._before = torch.get_num_threads()
        if torch.get_num_threads() != self.count:
            torch.set_num_threads(self.count)

    def restore(self) -> None:
        """Gives a host program its own count back."""
        if self._before is not None:
            sys.modules["torch"].set_num_threads(self._before)
            self._before = None

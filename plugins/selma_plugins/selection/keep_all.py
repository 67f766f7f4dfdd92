"""`keep_all`: no selection, as in SELMA itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selma_core.data import ImageItem
from selma_core.protocols import SelectJob
from selma_core.records import NoOptions


class KeepAll:
    """`selma_core.protocols.Selector` that keeps everything."""

    def __init__(self, options: NoOptions) -> None:
        del options

    def select(self, job: SelectJob) -> Sequence[tuple[ImageItem, Mapping[str, Any]]]:
        """Every item, in order."""
        return [(item, {"rule": "keep_all"}) for item in job.items]

"""What several tests of the core need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MERGE = """
import attrs
from selma_core import hookimpl
from selma_core.options import option, positive
from selma_core.protocols import Factors
from selma_core.records import MergeStrategyRecord

@attrs.frozen
class Options:
    part: float = option(0.5, help="share of the first expert", check=positive)

class First:
    def __init__(self, options):
        self.options = options
    def weights(self, count, base):
        return tuple(1.0 for _ in range(count))
    def merge_layer(self, job):
        return job.experts[0]

@hookimpl
def selma_merge_strategies():
    yield MergeStrategyRecord(name="first", summary="the first expert", factory=__name__ + ":First", options=Options)
"""

MakeDistribution = Callable[..., str]
MakeRegistry = Callable[..., Any]

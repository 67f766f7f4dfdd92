"""SELMA core: kinds of plugin, recipes, stages, artifacts. It knows no model and no method."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from selma_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from selma_core.ablation import AblationRun, ablate
    from selma_core.api import MergedAdapter, evaluate, generate, merge, plan, why
    from selma_core.engine import run
    from selma_core.evaluating import Evaluation
    from selma_core.export import ResultTable
    from selma_core.export.stored import table
    from selma_core.graph.plan import Planned
    from selma_core.graph.why import Explanation
    from selma_core.result import Run

__all__ = [
    "AblationRun",
    "Evaluation",
    "Explanation",
    "MergedAdapter",
    "Planned",
    "ResultTable",
    "Run",
    "ablate",
    "evaluate",
    "generate",
    "hookimpl",
    "merge",
    "plan",
    "run",
    "table",
    "why",
]

# Imported on first use, so that a plugin's `from selma_core import hookimpl` stays light. No module of this package
# may have one of these names: importing it would put the module in the function's place.
_LAZY = {
    "AblationRun": "selma_core.ablation",
    "Evaluation": "selma_core.evaluating",
    "Explanation": "selma_core.graph.why",
    "MergedAdapter": "selma_core.api",
    "Planned": "selma_core.graph.plan",
    "ResultTable": "selma_core.export",
    "Run": "selma_core.result",
    "ablate": "selma_core.ablation",
    "evaluate": "selma_core.api",
    "generate": "selma_core.api",
    "merge": "selma_core.api",
    "plan": "selma_core.api",
    "run": "selma_core.engine",
    "table": "selma_core.export.stored",
    "why": "selma_core.api",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'selma_core' has no attribute '{name}'")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})

"""SELMA core: kinds of plugin, recipes, stages, artifacts. It knows no model and no method."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from selma_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from selma_core.ablation import ablate
    from selma_core.engine import run
    from selma_core.result import Run

__all__ = ["Run", "ablate", "hookimpl", "run"]

# Imported on first use, so that a plugin's `from selma_core import hookimpl` stays light.
_LAZY = {"Run": "selma_core.result", "ablate": "selma_core.ablation", "run": "selma_core.engine"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'selma_core' has no attribute '{name}'")
    return getattr(import_module(_LAZY[name]), name)

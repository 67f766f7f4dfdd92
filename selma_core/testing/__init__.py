"""The conformance kit: what a plugin author calls in tests. `CHECKS` has one check per kind.

from selma_core.testing import check_merge_strategy, check_plugin

def test_half():
    check_plugin("my-distribution")
    check_merge_strategy(Half, HalfOptions(), identity=False)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selma_core.testing.adapters import check_adapter_trainer, check_merge_strategy
    from selma_core.testing.checks import CHECKS
    from selma_core.testing.context import FakeContext, Interrupted
    from selma_core.testing.evaluators import check_evaluator
    from selma_core.testing.images import check_image_generator, check_selector, check_text_encoder
    from selma_core.testing.prompts import check_chat_model, check_prompt_source
    from selma_core.testing.records import check_offer, check_plugin, check_record
    from selma_core.testing.require import ConformanceError
    from selma_core.testing.running import check_executor, check_tracker, example_events
    from selma_core.testing.scorers import check_scorer_trainer

__all__ = [
    "CHECKS",
    "ConformanceError",
    "FakeContext",
    "Interrupted",
    "check_adapter_trainer",
    "check_chat_model",
    "check_evaluator",
    "check_executor",
    "check_image_generator",
    "check_merge_strategy",
    "check_offer",
    "check_plugin",
    "check_prompt_source",
    "check_record",
    "check_scorer_trainer",
    "check_selector",
    "check_text_encoder",
    "check_tracker",
    "example_events",
]

_MODULES = (
    *("checks", "adapters", "context", "evaluators", "images"),
    *("prompts", "records", "require", "running", "scorers"),
)


def __getattr__(name: str) -> Any:
    # Every pytest on a machine with SELMA imports this package for the entry point `pytest11`: it must cost nothing.
    if name in __all__:
        for module in _MODULES:
            found = getattr(import_module(f"{__name__}.{module}"), name, None)
            if found is not None:
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

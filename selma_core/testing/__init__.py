"""The conformance kit: what a plugin author calls in tests. `CHECKS` has one check per kind.

from selma_core.testing import check_merge_strategy, check_plugin

def test_half():
    check_plugin("my-distribution")
    check_merge_strategy(Half, HalfOptions(), identity=False)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from selma_core.testing.adapters import check_adapter_trainer, check_merge_strategy
from selma_core.testing.context import FakeContext, Interrupted
from selma_core.testing.evaluators import check_evaluator
from selma_core.testing.images import check_image_generator, check_selector, check_text_encoder
from selma_core.testing.prompts import check_chat_model, check_prompt_source
from selma_core.testing.records import check_offer, check_plugin, check_record
from selma_core.testing.require import ConformanceError
from selma_core.testing.running import check_executor, check_tracker, example_events

CHECKS: dict[str, Callable[..., Any]] = {
    "prompt_source": check_prompt_source,
    "chat_model": check_chat_model,
    "text_encoder": check_text_encoder,
    "image_generator": check_image_generator,
    "selector": check_selector,
    "adapter_trainer": check_adapter_trainer,
    "merge_strategy": check_merge_strategy,
    "evaluator": check_evaluator,
    "executor": check_executor,
    "tracker": check_tracker,
}

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
    "check_selector",
    "check_text_encoder",
    "check_tracker",
    "example_events",
]

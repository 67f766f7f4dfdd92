"""One conformance check per kind of plugin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from selma_core.testing.adapters import check_adapter_trainer, check_merge_strategy
from selma_core.testing.evaluators import check_evaluator
from selma_core.testing.images import check_image_generator, check_selector, check_text_encoder
from selma_core.testing.prompts import check_chat_model, check_prompt_source
from selma_core.testing.running import check_executor, check_tracker
from selma_core.testing.scorers import check_scorer_trainer

CHECKS: dict[str, Callable[..., Any]] = {
    "prompt_source": check_prompt_source,
    "chat_model": check_chat_model,
    "text_encoder": check_text_encoder,
    "image_generator": check_image_generator,
    "selector": check_selector,
    "adapter_trainer": check_adapter_trainer,
    "merge_strategy": check_merge_strategy,
    "evaluator": check_evaluator,
    "scorer_trainer": check_scorer_trainer,
    "executor": check_executor,
    "tracker": check_tracker,
}

"""Options of `search`."""

from __future__ import annotations

import attrs

from selma_core.options import Slot, at_least, component, option, positive


@attrs.frozen
class SearchOptions:
    """Options of `search`. The prompts must not be those of the final benchmark."""

    prompts: Slot = component("prompt_source", help="held-out prompts to fit on")
    generator: Slot = component("image_generator", help="who draws, with its model and steps")
    evaluator: Slot = component("evaluator", help="who scores; higher must be better")
    rule: str = option("", help="the evaluator's rule; empty = its default")
    inner: Slot = component("merge_strategy", Slot("linear"), help="the strategy whose weights are fitted")
    generations: int = option(6, help="generations of CMA-ES", check=positive)
    population: int = option(8, help="candidates per generation", check=at_least(4))
    low: float = option(-1.5, help="lower bound of a weight (LoraHub's)")
    high: float = option(1.5, help="upper bound of a weight")
    sigma: float = option(0.15, help="first step size; the start is the mean, 1/T each", check=positive)
    penalty: float = option(0.05, help="times the mean |weight|, off a score in 0-1 (LoraHub's)", check=at_least(0))
    rungs: list[float] = option([0.25, 0.5, 1.0], help="shares of the prompts at which the worse half drops out")

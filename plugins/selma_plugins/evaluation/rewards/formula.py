"""From the scores of things to the reward. Pure.

Source: `r = (sum of scores - 2 n) / (2 n)` over n things, FineRewards' released notebook; in [-0.5, 0.5].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selma_core.errors import UnknownNameError, did_you_mean

RULES = ("precision", "recall", "area")


def reward(things: Sequence[Mapping[str, Any]], missing: int, rule: str) -> float:
    """The reward of one image. Nothing seen (and nothing missing) is 0, neither good nor bad.

    Args:
        things: each with `score` (1, 2, 3) and, for `area`, `area` and `confidence`.
        missing: objects of the prompt that are absent; `recall` takes each as a thing of score 1.

    Raises:
        UnknownNameError: there is no such rule.
    """
    if rule not in RULES:
        raise UnknownNameError(f"segment_reward has no rule '{rule}': {did_you_mean(rule, RULES)}")
    absent = missing if rule == "recall" else 0
    weights = [_weight(thing) if rule == "area" else 1.0 for thing in things] + [1.0] * absent
    scores = [float(thing["score"]) for thing in things] + [1.0] * absent
    total = sum(weights)
    if total <= 0:
        return 0.0
    return sum(weight * (score - 2) for weight, score in zip(weights, scores, strict=True)) / (2 * total)


def _weight(thing: Mapping[str, Any]) -> float:
    return float(thing.get("area") or 0.0) * float(thing.get("confidence") or 0.0)

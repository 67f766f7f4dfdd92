"""Reward-weighted loss: each image weighs as much as the reward it was kept for.

Source: GORS, loss = reward x mean squared error, T2I-CompBench, arXiv 2307.06350.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from selma_core.data import ImageItem
from selma_core.errors import UserError, did_you_mean


def sample_weights(items: Sequence[ImageItem], count: int, metric: str) -> torch.Tensor | None:
    """The weights [N] fp32 of the items' losses; None when `metric` is empty.

    Args: count = items that are trained on, the first ones; the others are held out and need no weight.

    Raises:
        UserError: an image of the training set was not selected by this metric, or its value is below 0.
    """
    if not metric:
        return None
    values = [_value(item, metric) for item in items[:count]]
    return torch.tensor([*values, *[1.0] * (len(items) - count)])


def _value(item: ImageItem, metric: str) -> float:
    known: dict[str, Any] = dict(item.selection.get("values") or {})
    value = known.get(metric)
    if not isinstance(value, int | float) or not math.isfinite(value):
        hint = did_you_mean(metric, known) if known else "train on what a selector kept by it (threshold, best_of)"
        raise UserError(f"sample_weight: the image '{item.item_id}' has no '{metric}': {hint}")
    if value < 0:
        raise UserError(
            f"sample_weight: '{metric}' is {value:g} for the image '{item.item_id}': a loss cannot weigh less than "
            "nothing; keep images above 0 (selector threshold), or take a metric of positive values"
        )
    return float(value)

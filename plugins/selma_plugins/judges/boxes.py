"""Boxes of a detector: their places, areas and overlaps."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import torch
from torch import Tensor


@attrs.frozen(kw_only=True)
class Box:
    """Attributes: corners = [x0, y0, x1, y1] in pixels; confidence in [0, 1]."""

    label: str
    confidence: float
    corners: tuple[float, float, float, float]


def apart(boxes: Sequence[Box], overlap: float) -> list[Box]:
    """The boxes, most confident first, without those that overlap an earlier one by more (IoU)."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: -box.confidence):
        if all(_iou(box, other) <= overlap for other in kept):
            kept.append(box)
    return kept


def corners(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Centres and sizes in [0, 1] [Q, 4] -> corners in pixels, within the picture."""
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    found = torch.cat([centre - half, centre + half], dim=1).clamp(0, 1).cpu()
    return found * torch.tensor([*size, *size])


def area(box: Box) -> float:
    """In square pixels."""
    x0, y0, x1, y1 = box.corners
    return max(0.0, x1 - x0) * max(0.0, y1 - y0)


def _iou(one: Box, other: Box) -> float:
    a, b = one.corners, other.corners
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, wide) * max(0.0, high)
    union = area(one) + area(other) - shared
    return shared / union if union > 0 else 0.0

"""Requests of different lengths as one batch. Padded on the left, so that all replies begin at the same place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pad_left(rows: Sequence[Tensor], value: float) -> Tensor:
    """Rows [L_i, ...] as one tensor [B, L, ...], `value` before the shorter ones."""
    length = max(len(row) for row in rows)
    fill = [row.new_full((length - len(row), *row.shape[1:]), value) for row in rows]
    return torch.stack([torch.cat([before, row]) for before, row in zip(fill, rows, strict=True)])


def mask_left(rows: Sequence[Tensor]) -> Tensor:
    """The mask [B, L] of `pad_left`: 1 = real."""
    return pad_left([row.new_ones(len(row), dtype=torch.long) for row in rows], 0)

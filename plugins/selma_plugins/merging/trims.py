"""Which entries of a delta are kept, and by what they are divided.

A trim works in two steps, so that a second pass over the experts need not select again: `find` gives the bounds of a
delta, `cut` applies them in place. Random masks have no bounds: their stream gives the same draws each time.
"""

from __future__ import annotations

from typing import Protocol

import attrs
import numpy as np
import torch

Bounds = tuple[float, float] | None
# Rows that are ranked at once: the keys of a row take 8 bytes per entry.
ROWS = 256


class Trim(Protocol):
    """A rule for one delta [m, n]."""

    def find(self, delta: torch.Tensor, scratch: torch.Tensor) -> Bounds:
        """What `cut` needs to know of the whole delta; may overwrite `scratch` [m, n], not `delta`."""

    def cut(self, delta: torch.Tensor, scratch: torch.Tensor, bounds: Bounds, stream: torch.Generator) -> None:
        """Trims `delta` in place; may overwrite `scratch`."""


@attrs.frozen
class Band:
    """Keeps the int(density * N) largest |D| after the int(gamma * N) largest; equal ones at a bound all stay.

    With gamma 0 that is magnitude pruning (TIES, 2306.01708); above, Model Breadcrumbs (2312.06795). int(gamma * N) = 0
    drops nothing at the top.
    """

    density: float
    gamma: float = 0.0

    def find(self, delta: torch.Tensor, scratch: torch.Tensor) -> Bounds:
        """The smallest and the largest |D| that are kept; None = all."""
        count = delta.numel()
        top, kept = int(self.gamma * count), int(self.density * count)
        if kept >= count:
            return None
        if kept == 0:
            return np.inf, np.inf
        torch.abs(delta, out=scratch)
        flat = scratch.view(-1).numpy()
        low, high = count - top - kept, count - 1 - top
        # seven times as fast as torch.kthvalue; and two partitions of one index each as one of two indices
        flat.partition(low)
        if not top:
            return float(flat[low]), np.inf
        flat[low:].partition(high - low)
        return float(flat[low]), float(flat[high])

    def cut(self, delta: torch.Tensor, scratch: torch.Tensor, bounds: Bounds, stream: torch.Generator) -> None:
        """Zero outside of the bounds."""
        del stream
        if bounds is None:
            return
        low, high = bounds
        if high < np.inf:
            torch.abs(delta, out=scratch)
            delta.masked_fill_(scratch > high, 0.0)
        # zeroes |D| <= its threshold, so that is the next number below the smallest one kept
        below = np.nextafter(delta.numpy().dtype.type(low), 0) if low < np.inf else low
        torch.hardshrink(delta, float(below), out=delta)


@attrs.frozen
class Drop:
    """DARE (2311.03099): each entry is kept with probability `density` and then divided by it.

    With `l1` what is kept is scaled once instead, to the sum of |D| before, as mergekit does.
    """

    density: float
    l1: bool = False

    def find(self, delta: torch.Tensor, scratch: torch.Tensor) -> Bounds:
        """Nothing to know."""
        del delta, scratch
        return None

    def cut(self, delta: torch.Tensor, scratch: torch.Tensor, bounds: Bounds, stream: torch.Generator) -> None:
        """D M / density; density 0 keeps nothing."""
        del bounds
        if self.density >= 1:
            return
        if self.density <= 0:
            delta.zero_()
            return
        before = _size(delta) if self.l1 else 0.0
        scratch.uniform_(generator=stream)
        delta.mul_(scratch.lt_(self.density))
        if self.l1:
            _scale_to(delta, before)
        else:
            delta.div_(self.density)


@attrs.frozen
class RankedDrop:
    """DELLA (2406.11617): within a row, the keep probability grows with the rank of |D|.

    p = (density - eps) + 2 eps rank / (n - 1), rank 0 for the smallest (the first of equal ones), p = density where a
    row has one entry; what is kept is divided by its p, or with `l1` scaled once, to the sum of |D| before (mergekit).
    """

    density: float
    eps: float
    l1: bool = False

    def find(self, delta: torch.Tensor, scratch: torch.Tensor) -> Bounds:
        """Nothing to know."""
        del delta, scratch
        return None

    def cut(self, delta: torch.Tensor, scratch: torch.Tensor, bounds: Bounds, stream: torch.Generator) -> None:
        """D M / p."""
        del bounds
        columns = delta.shape[1]
        probability = torch.full((1,), self.density, dtype=delta.dtype)
        if columns > 1:
            ranks = torch.arange(columns, dtype=delta.dtype)
            probability = (self.density - self.eps) + 2 * self.eps * ranks / (columns - 1)
        before = _size(delta) if self.l1 else 0.0
        scratch.uniform_(generator=stream)
        for start in range(0, len(delta), ROWS):
            rows, draws = delta[start : start + ROWS], scratch[start : start + ROWS]
            keep = torch.empty_like(rows).scatter_(1, _order(rows), probability.expand(len(rows), -1))
            rows.mul_(draws.lt_(keep))
            if not self.l1:
                rows.div_(keep)
        if self.l1:
            _scale_to(delta, before)


def _size(delta: torch.Tensor) -> float:
    """sum |D|, in float64 and by rows: no copy of the matrix."""
    return float(delta.norm(p=1, dim=1).double().sum())


def _scale_to(delta: torch.Tensor, size: float) -> None:
    """Scales in place to sum |D| = size; zeros stay."""
    now = _size(delta)
    if now > 0:
        delta.mul_(size / now)


def _order(rows: torch.Tensor) -> torch.Tensor:
    """The columns of each row in the order of |D|, equal ones by column [rows, n] int64.

    The bits of a float above zero grow with it, so |D| and column make one sortable integer: four times as fast as a
    stable argsort.
    """
    bits = rows.abs().float().contiguous().numpy().view(np.uint32)
    keys = bits.astype(np.uint64) << np.uint64(32)
    keys |= np.arange(rows.shape[1], dtype=np.uint64)
    keys.sort(axis=1)
    keys &= np.uint64(0xFFFFFFFF)
    return torch.from_numpy(keys.view(np.int64))

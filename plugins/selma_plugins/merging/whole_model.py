"""The k-th largest entry of an expert's deltas over all its layers, exactly, from streamed layers.

The bits of a float above zero grow with it. A first pass counts entries by their upper 16 bits, which gives the bin
that the k-th lies in; a second counts that bin by the lower 16. Memory is one layer and one table, whatever the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch

from selma_core.protocols import LayerJob

Layers = Callable[[], Iterable[LayerJob]]
BINS = 1 << 16


def thresholds(layers: Layers, density: float) -> dict[str, float]:
    """expert id -> the smallest |D| among the int(density N) largest of its N entries; infinity keeps none, 0 all."""
    upper: dict[str, np.ndarray] = {}
    for name, bits in _entries(layers):
        upper[name] = upper.get(name, 0) + np.bincount(bits >> 16, minlength=BINS)
    wanted = {name: int(density * int(table.sum())) for name, table in upper.items()}
    inner = {name: _bin(table, wanted[name]) for name, table in upper.items() if 0 < wanted[name] < table.sum()}
    lower = {name: np.zeros(BINS, dtype=np.int64) for name in inner}
    for name, bits in _entries(layers) if inner else ():
        if name in inner:
            here = bits[bits >> 16 == inner[name][0]]
            lower[name] += np.bincount(here & (BINS - 1), minlength=BINS)
    found = {name: 0.0 if wanted[name] else np.inf for name in upper}
    for name, (place, left) in inner.items():
        bits = np.array([place << 16 | _bin(lower[name], left)[0]], dtype=np.uint32)
        found[name] = float(bits.view(np.float32)[0])
    return found


def _entries(layers: Layers) -> Iterator[tuple[str, np.ndarray]]:
    """(expert id, the bits of |D| of a layer)."""
    for job in layers():
        for name, part in zip(job.expert_ids, job.experts, strict=True):
            if part is not None:
                size = torch.mm(part.up, part.down).abs_().float()
                yield name, size.view(-1).numpy().view(np.uint32)


def _bin(table: np.ndarray, wanted: int) -> tuple[int, int]:
    """The bin in which the `wanted`-th largest lies, and its place among the largest of that bin."""
    above = np.cumsum(table[::-1])
    place = int(np.searchsorted(above, wanted))
    before = int(above[place - 1]) if place else 0
    return len(table) - 1 - place, wanted - before

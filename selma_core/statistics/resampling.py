"""Random resamples and sign patterns, in chunks that keep memory small and change no result."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from selma_core.seeds import derive_seed
from selma_core.statistics.sample import Floats, Sample

RESAMPLES = 10_000
TINY = 1e-12

_CHUNK_CELLS = 128_000  # a megabyte: what the processor keeps near it
_EXACT_UP_TO = 13
_WORD = 64


def resampled_means(sample: Sample, seed: int, resamples: int) -> Floats:
    """The mean of each resample [resamples]: with replacement, within each stratum of its own size."""
    total = np.zeros(resamples)
    for place, members in enumerate(sample.strata):
        x, w = sample.x[members], sample.w[members]
        rng = np.random.default_rng(derive_seed("bootstrap", seed, *([place] if place else [])))
        total += np.concatenate([_means(x, w, chosen) for chosen in _draws(rng, x.size, resamples)])
    return total / len(sample.strata)


def counts(rng: np.random.Generator, size: int, resamples: int) -> Iterator[Floats]:
    """How often each of `size` units is in each resample: chunks of rows, `resamples` rows in all, each summing to
    `size`."""
    for chosen in _draws(rng, size, resamples):
        cells = chosen + (np.arange(len(chosen), dtype=np.int64) * size)[:, None]
        found = np.bincount(cells.ravel(), minlength=len(chosen) * size)
        yield found.reshape(len(chosen), size).astype(np.float64)


def sign_flip_p(d: Floats, seed: int, resamples: int) -> float:
    """Share of sign patterns whose sum is at least as far from 0; all patterns where these are few."""
    d = d[d != 0.0]
    if d.size == 0:
        return 1.0
    limit = abs(d.sum()) - 1e-9 * np.abs(d).sum()
    if d.size <= _EXACT_UP_TO:
        signs = np.array(list(product((-1.0, 1.0), repeat=d.size)))
        return float(np.mean(np.abs(signs @ d) >= limit))
    rng = np.random.default_rng(derive_seed("sign flip", seed))
    # A pattern of signs is a pattern of bits: the flipped sum is the whole minus twice the part that is flipped.
    extreme = sum(int(np.sum(np.abs(d.sum() - 2.0 * (bits @ d)) >= limit)) for bits in _bits(rng, d.size, resamples))
    # The observed pattern is one of the possible ones: p is never 0.
    return (extreme + 1) / (resamples + 1)


def _means(x: Floats, w: Floats, chosen: NDArray[np.int64]) -> Floats:
    # `clip` spares the check of indices, which are in range
    if np.all(w == w[0]):
        means: Floats = x.take(chosen, mode="clip").mean(axis=1)
        return means
    weighted = (w * x).take(chosen, mode="clip").sum(axis=1)
    ratios: Floats = weighted / w.take(chosen, mode="clip").sum(axis=1)
    return ratios


def _draws(rng: np.random.Generator, size: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    for rows in _chunks(resamples, size):
        yield rng.integers(0, size, size=(rows, size), dtype=np.int64)


def _bits(rng: np.random.Generator, size: int, resamples: int) -> Iterator[Floats]:
    words = -(-size // _WORD)
    for rows in _chunks(resamples, size):
        found = rng.integers(0, 2**_WORD, size=(rows, words), dtype=np.uint64)
        yield np.unpackbits(found.view(np.uint8), axis=1)[:, :size].astype(np.float64)


def _chunks(total: int, width: int) -> Iterator[int]:
    """Row counts that add up to `total`, each keeping a matrix of that width small in memory."""
    step = max(1, _CHUNK_CELLS // width)
    for start in range(0, total, step):
        yield min(step, total - start)

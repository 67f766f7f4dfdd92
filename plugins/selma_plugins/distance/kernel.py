"""The unbiased squared maximum mean discrepancy with KID's kernel, as a mean over images.

Source: Binkowski et al. 2018, arXiv 1801.01401, equations 3 and 4. With k(a, b) = (a.b / D + 1)^3, images x_1 ... x_m
and references r_1 ... r_n,

    KID = mean over i != j of k(x_i, x_j) - 2 mean over i, j of k(x_i, r_j) + mean over i != j of k(r_i, r_j),

which is the mean over i of what `shares` gives. So a prompt's share can be resampled and compared in pairs, as the
values of any other metric. Unlike FID it is unbiased, also for a few hundred images, so it may come out below 0.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def kernel(a: Floats, b: Floats) -> Floats:
    """[m, D], [n, D] -> [m, n]."""
    found: Floats = (a @ b.T / a.shape[1] + 1.0) ** 3
    return found


def apart(features: Floats) -> float:
    """The mean of k over all pairs of different rows of [n, D]; n of at least 2."""
    return float(others(features).mean())


def others(features: Floats) -> Floats:
    """For each row of [n, D] the mean of k with all other rows, [n]; n of at least 2."""
    k = kernel(features, features)
    found: Floats = (k.sum(axis=1) - np.diag(k)) / (len(features) - 1)
    return found


def shares(features: Floats, near: Floats, within: float) -> Floats:
    """What each image adds to the distance, [m]: near = mean k with the references [m], within = `apart` of these."""
    return others(features) - 2.0 * near + within


def packed(feature: Floats) -> str:
    """[D] as base64 of little-endian fp32: short in JSON."""
    return b64encode(feature.astype("<f4").tobytes()).decode()


def unpacked(text: str) -> Floats:
    """Back from `packed`."""
    return np.frombuffer(b64decode(text), dtype="<f4").astype(np.float64)

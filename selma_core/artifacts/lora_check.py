"""Comparing two LoRAs delta by delta from their factors, without forming any delta."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from selma_core.artifacts.lora_reader import LayerReader
from selma_core.errors import ArtifactError
from selma_core.merging.algebra import norm
from selma_core.protocols import Factors

if TYPE_CHECKING:
    from collections.abc import Callable

# Relative error of a delta (Frobenius) up to which an export is the same adapter: rounding to the type, no more.
TOLERANCE = {"float32": 1e-6, "float16": 1e-2, "bfloat16": 1e-2}


def delta_error(wanted: Factors, found: Factors) -> float:
    """|D' - D| / |D| for factors that belong column to column: D' - D = (B' - B) A + B' (A' - A).

    Nothing cancels in that sum, so it is exact down to single roundings, which <D', D> in float64 is not. Infinity
    where D is zero and D' is not.
    """
    import torch

    up, down = wanted.up.flatten(1), wanted.down.flatten(1)
    other, below = found.up.flatten(1), found.down.flatten(1)
    if torch.equal(up, other) and torch.equal(down, below):
        return 0.0
    rest = Factors(up=torch.cat([other - up, other], dim=1), down=torch.cat([down, below - down]))
    whole, part = norm(Factors(up=up, down=down)), norm(rest)
    return part / whole if whole > 0 else (0.0 if part == 0 else math.inf)


def check_equal(source: LayerReader, written: LayerReader, dtype: str, progress: Callable[[int], None]) -> float:
    """The largest relative error of a layer.

    Raises:
        ArtifactError: other layers, other shapes, or an error above what rounding to `dtype` gives.
    """
    if missing := set(source.names()) ^ set(written.names()):
        raise ArtifactError(f"{written.file}: reading it back, layer '{min(missing)}' is not in both; nothing is kept")
    worst = 0.0
    for done, layer in enumerate(source.names()):
        progress(done)
        wanted, found = source.factors(layer), written.factors(layer)
        if wanted.up.shape != found.up.shape or wanted.down.shape != found.down.shape:
            raise ArtifactError(f"{written.file}: reading it back, layer '{layer}' has another shape; nothing is kept")
        error = delta_error(wanted, found)
        if not error <= TOLERANCE[dtype]:
            advice = "" if dtype == "float32" else "; type: --dtype float32"
            raise ArtifactError(
                f"{written.file}: layer '{layer}' in {dtype} is off by {error:.1e} of its norm; nothing is kept{advice}"
            )
        worst = max(worst, error)
    return worst

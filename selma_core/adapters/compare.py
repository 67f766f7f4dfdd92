"""How two LoRAs differ, layer by layer, from their factors: no delta is ever formed."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from selma_core.artifacts.lora_reader import LayerReader, read_layers
from selma_core.errors import ArtifactError
from selma_core.merging.algebra import flat, inner


@attrs.frozen
class Products:
    """<A, A>, <B, B>, <A, B> of a layer, or summed over layers."""

    a: float
    b: float
    ab: float

    def __add__(self, other: Products) -> Products:
        return Products(self.a + other.a, self.b + other.b, self.ab + other.ab)

    def figures(self) -> dict[str, float | None]:
        """cosine = <A,B> / |A||B|, norm_ratio = |B| / |A|, difference = |B - A| / |A|; None where undefined.

        `difference` is good to about 1e-8: below that, the three products cancel.
        """
        a, b = math.sqrt(max(self.a, 0.0)), math.sqrt(max(self.b, 0.0))
        return {
            "cosine": max(-1.0, min(1.0, self.ab / (a * b))) if a and b else None,
            "norm_ratio": b / a if a else None,
            "difference": math.sqrt(max(self.a + self.b - 2 * self.ab, 0.0)) / a if a else None,
        }


def compare(
    first: Path, second: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Any]:
    """The object that `selma adapter diff --json` prints; a layer that one of them lacks counts as a zero delta.

    Raises:
        ArtifactError: no plain LoRA, or layers of different shapes (adapters of different models).
    """
    a, b = read_layers(first), read_layers(second)
    names = sorted({*a.names(), *b.names()})
    known_a, known_b = set(a.names()), set(b.names())
    rows, total = [], Products(0.0, 0.0, 0.0)
    for done, name in enumerate(names):
        progress(done, len(names))
        found = _products(a if name in known_a else None, b if name in known_b else None, name)
        total += found
        if name in known_a and name in known_b:
            rows.append({"name": name, **found.figures()})
    progress(len(names), len(names))
    return {
        "a": str(first),
        "b": str(second),
        **total.figures(),
        "common": len(rows),
        "only_a": sorted(known_a - known_b),
        "only_b": sorted(known_b - known_a),
        "layers": rows,
    }


def _products(a: LayerReader | None, b: LayerReader | None, name: str) -> Products:
    first = flat(a.factors(name)) if a is not None else None
    second = flat(b.factors(name)) if b is not None else None
    if first is None or second is None:
        return Products(inner(first, first) if first else 0.0, inner(second, second) if second else 0.0, 0.0)
    shapes = [[part.up.shape[0], part.down.shape[1]] for part in (first, second)]
    if shapes[0] != shapes[1]:
        where = f"{a.file if a else ''} and {shapes[1]} in {b.file if b else ''}"
        raise ArtifactError(f"layer '{name}' is {shapes[0]} in {where}: adapters of different models")
    return Products(inner(first, first), inner(second, second), inner(first, second))

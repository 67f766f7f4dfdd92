"""A scatter plot with the Pareto front marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, floor, log10

import attrs
from markupsafe import Markup, escape

from selma_core.report.figures import axis_of, label, place, svg, ticks

_LEFT, _RIGHT, _TOP, _BOTTOM, _WIDTH = 40.0, 344.0, 18.0, 210.0, 360.0
_LETTERS = 20
Spot = tuple[float, float]


@attrs.frozen
class Dot:
    """One variant. Attributes: front = on the Pareto front; named = labelled although it is not."""

    x: float
    y: float
    name: str
    colour: int
    front: bool = False
    named: bool = False


def scatter_plot(dots: Sequence[Dot], x_title: str, y_title: str) -> Markup:
    """Dots over two axes; x is logarithmic where it spans more than a factor of ten."""
    log = min(dot.x for dot in dots) > 0 and max(dot.x for dot in dots) > 10 * min(dot.x for dot in dots)
    xs = [log10(dot.x) if log else dot.x for dot in dots]
    across, up = axis_of(xs), axis_of([dot.y for dot in dots])
    spots = [
        (place(x, across.low, across.high, _LEFT, _RIGHT), place(dot.y, up.low, up.high, _BOTTOM, _TOP))
        for x, dot in zip(xs, dots, strict=True)
    ]
    parts = [*_grid(across.low, across.high, up.low, up.high, log), label(_LEFT, 10, y_title, "tick", "start")]
    parts.append(label((_LEFT + _RIGHT) / 2, _BOTTOM + 28, x_title + (" (log)" if log else ""), "tick", "middle", 40))
    front = sorted(spot for spot, dot in zip(spots, dots, strict=True) if dot.front)
    parts.append(f'<polyline class="front" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in front)}"/>')
    for (x, y), dot in zip(spots, dots, strict=True):
        ring = " ringed" if dot.front else ""
        parts.append(
            f'<circle class="v{dot.colour}{ring}" cx="{x:.1f}" cy="{y:.1f}" r="{6 if dot.front else 4.5}">'
            f"<title>{escape(dot.name)}: {dot.y:.1f} after {dot.x:.1f} {escape(x_title)}</title></circle>"
        )
    parts += _names(spots, dots)
    return svg(_WIDTH, _BOTTOM + 34, parts, f"{y_title} over {x_title}; the table below has the same numbers")


def _grid(left: float, right: float, low: float, high: float, log: bool) -> list[str]:
    parts = []
    for tick in ticks(low, high):
        y = place(tick, low, high, _BOTTOM, _TOP)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(label(_LEFT - 5, y + 4, f"{tick:g}", "tick", "end"))
    for tick in _decades(left, right) if log else ticks(left, right):
        x = min(place(tick, left, right, _LEFT, _RIGHT), _RIGHT - 6)
        parts.append(label(x, _BOTTOM + 14, f"{10**tick:.3g}" if log else f"{tick:g}", "tick", "middle"))
    return parts


def _decades(low: float, high: float) -> list[float]:
    """Logarithms of 1, 2, 5, 10, ... within [low, high]; of powers of ten alone where those are many."""
    powers = range(floor(low), ceil(high) + 1)
    fine = [power + log10(step) for power in powers for step in (1, 2, 5)]
    return [tick for tick in (fine if len(powers) <= 4 else map(float, powers)) if low <= tick <= high]


def _names(spots: Sequence[Spot], dots: Sequence[Dot]) -> list[str]:
    """The names of the front and of the baseline, each where it lies on no dot and on no other name."""
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in spots]
    parts = []
    for (x, y), dot in sorted(zip(spots, dots, strict=True), key=lambda each: each[0]):
        if dot.front or dot.named:
            wide = min(len(dot.name), _LETTERS) * 6.2
            left, line = next((at for at in _places(x, y, wide) if _free((at[0], at[1], wide), taken)), (x + 9, y + 4))
            taken.append((left, line - 9, left + wide, line + 2))
            parts.append(label(left, line, dot.name, "name", "start", _LETTERS))
    return parts


def _places(x: float, y: float, wide: float) -> Iterator[Spot]:
    for down in (4, -10, 18, -24, 32, -38, 46, -52, 60):
        for left in (x + 10, x - 10 - wide, x - wide / 2):
            if left >= _LEFT and left + wide <= _WIDTH - 2 and _TOP < y + down < _BOTTOM - 2:
                yield left, y + down


def _free(name: tuple[float, float, float], taken: Sequence[tuple[float, float, float, float]]) -> bool:
    left, line, wide = name
    return not any(left < c and a < left + wide and line - 9 < d and b < line + 2 for a, b, c, d in taken)

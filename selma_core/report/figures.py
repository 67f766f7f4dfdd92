"""Inline SVG figures. Colours are CSS classes (`v0` ... `v7`), so that they follow the light or dark theme.

Widths are in viewBox units chosen so that text stays readable on a phone 360 pixels wide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, floor, log10

import attrs
from markupsafe import Markup, escape

COLOURS = 8


@attrs.frozen
class Mark:
    """One row of a bar or dot plot. Attributes: colour = index of its class; low, high = interval or None."""

    label: str
    value: float
    colour: int
    low: float | None = None
    high: float | None = None


@attrs.frozen
class Line:
    """One line of a curve plot. Attributes: style = CSS class (`train`, `smooth`, `heldout`)."""

    points: Sequence[tuple[float, float]]
    style: str


def dot_plot(marks: Sequence[Mark], unit: str = "") -> Markup:
    """Means with their intervals, one row each, on a common axis that need not start at 0."""
    ends = [x for m in marks for x in (m.value, m.low, m.high) if x is not None]
    low, high = _padded(min(ends), max(ends))
    left, right, row = 122.0, 318.0, 24.0
    base = 8 + row * len(marks)
    parts = []
    for tick in ticks(low, high):
        x = place(tick, low, high, left, right)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{base:.1f}"/>')
        parts.append(_text(x, base + 14, f"{tick:g}", "tick", "middle"))
    for index, mark in enumerate(marks):
        y = 8 + row * (index + 0.5)
        parts.append(_text(left - 8, y + 4, mark.label, "name", "end"))
        if mark.low is not None and mark.high is not None:
            a, b = (place(end, low, high, left, right) for end in (mark.low, mark.high))
            parts.append(f'<line class="whisker s{mark.colour}" x1="{a:.1f}" x2="{b:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        x = place(mark.value, low, high, left, right)
        parts.append(f'<circle class="v{mark.colour}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
        parts.append(_text(right + 8, y + 4, f"{mark.value:.1f}{unit}", "value", "start"))
    return _svg(360, base + 20, parts, "means with 95 % intervals")


def difference_plot(value: float, low: float, high: float, reach: float) -> Markup:
    """A difference with its interval against 0; `reach` is the end of the axis on both sides."""
    width, middle = 300.0, 13.0
    zero, a, x, b = (place(each, -reach, reach, 8, width - 8) for each in (0.0, low, value, high))
    parts = [
        f'<line class="grid" x1="8" x2="{width - 8:.0f}" y1="{middle}" y2="{middle}"/>',
        f'<line class="zero" x1="{zero:.1f}" x2="{zero:.1f}" y1="3" y2="23"/>',
        f'<line class="whisker" x1="{a:.1f}" x2="{b:.1f}" y1="{middle}" y2="{middle}"/>',
        f'<circle class="point" cx="{x:.1f}" cy="{middle}" r="5"/>',
        _text(zero, 35, "no difference", "tick", "middle"),
    ]
    return _svg(width, 39, parts, "difference with its 95 % interval")


def bar_panel(marks: Sequence[Mark], top: float = 100.0) -> Markup:
    """Bars from 0 to `top`, one row each, labelled and numbered so that colour is not needed to read them."""
    left, right, row = 116.0, 264.0, 17.0
    parts = []
    for index, mark in enumerate(marks):
        y = row * index
        width = max(0.0, min(mark.value, top)) / top * (right - left)
        parts.append(_text(left - 6, y + 12, mark.label, "name", "end"))
        parts.append(f'<rect class="track" x="{left}" y="{y + 2:.1f}" width="{right - left:.1f}" height="12" rx="2"/>')
        parts.append(
            f'<rect class="v{mark.colour}" x="{left}" y="{y + 2:.1f}" width="{width:.1f}" height="12" rx="2"/>'
        )
        parts.append(_text(right + 5, y + 12, f"{mark.value:.1f}", "value", "start"))
    return _svg(300, row * len(marks) + 2, parts, "bars from 0 to 100")


def curve_plot(lines: Sequence[Line], y_range: tuple[float, float] | None = None) -> Markup:
    """Losses or values over steps; `y_range` lets several plots share one scale."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    x_low, x_high = min(xs), max(xs)
    low, high = y_range or _padded(min(ys), max(ys))
    left, right, top, bottom = 44.0, 292.0, 8.0, 130.0
    parts = []
    for tick in ticks(low, high):
        y = place(tick, low, high, bottom, top)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(left - 5, y + 4, f"{tick:g}", "tick", "end"))
    for step, anchor in ((x_low, "start"), (x_high, "end")):
        parts.append(_text(left if anchor == "start" else right, bottom + 15, f"{step:g}", "tick", anchor))
    parts.append(_text((left + right) / 2, bottom + 15, "step", "tick", "middle"))
    for line in lines:
        points = [(place(x, x_low, x_high, left, right), place(y, low, high, bottom, top)) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="{escape(line.style)}" points="{path}"/>')
        if line.style == "heldout":
            parts += [f'<circle class="heldout-dot" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in points]
    return _svg(300, bottom + 22, parts, "values over steps")


def _svg(width: float, height: float, parts: Iterable[str], title: str) -> Markup:
    body = "".join(parts)
    return Markup(f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">{body}</svg>')


def _text(x: float, y: float, text: str, style: str, anchor: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(_short(text))}</text>'


def _short(text: str, length: int = 17) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def place(value: float, low: float, high: float, start: float, end: float) -> float:
    """Where a value of [low, high] lies on a stretch from `start` to `end`."""
    return start + (end - start) * ((value - low) / (high - low) if high > low else 0.5)


def _padded(low: float, high: float) -> tuple[float, float]:
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin


def ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers within [low, high]."""
    power = 10.0 ** floor(log10((high - low) / 2))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if (high - low) / (power * factor) <= 6)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]

"""Inline SVG figures. Colours are CSS classes (`v0` ... `v7`), so that they follow the light or dark theme.

Widths are in viewBox units chosen so that text stays readable on a phone 360 pixels wide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, floor, log10

import attrs
from markupsafe import Markup, escape

COLOURS = 8
_CELL = 170.0


@attrs.frozen
class Line:
    """One line of a curve plot. Attributes: style = CSS class (`train`, `smooth`, `heldout`)."""

    points: Sequence[tuple[float, float]]
    style: str


@attrs.frozen
class Axis:
    """A common axis of many small plots. Attributes: low, high = its ends; rule = a value to mark, None for none."""

    low: float
    high: float
    rule: float | None = None

    def x(self, value: float) -> float:
        """Where a value lies, in pixels."""
        return place(value, self.low, self.high, 6.0, _CELL - 6.0)


def axis_of(values: Iterable[float | None], rule: float | None = None) -> Axis:
    """An axis that holds all values and need not start at 0."""
    known = [value for value in values if value is not None]
    return Axis(*_padded(min(known), max(known)), rule) if known else Axis(0.0, 1.0, rule)


def axis_cell(axis: Axis) -> Markup:
    """The numbers of an axis, for the head of the column whose cells are drawn with it."""
    marks = ticks(axis.low, axis.high)
    shown = marks if len(marks) <= 4 else marks[::2]
    parts = [label(min(max(axis.x(tick), 14.0), _CELL - 14.0), 10, f"{tick:g}", "tick", "middle") for tick in shown]
    return svg(_CELL, 13, parts, f"axis from {marks[0]:g} to {marks[-1]:g}")


def interval_cell(
    axis: Axis, value: float, low: float | None, high: float | None, colour: int, seeds: Sequence[float] = ()
) -> Markup:
    """A mean with its interval on a common axis, and a small dot for each training seed."""
    parts = []
    if axis.rule is not None:
        x = axis.x(axis.rule)
        parts.append(f'<line class="zero" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="22"/>')
    if low is not None and high is not None:
        a, b = axis.x(low), axis.x(high)
        parts.append(f'<line class="whisker s{colour}" x1="{a:.1f}" x2="{b:.1f}" y1="11" y2="11"/>')
    parts += [f'<circle class="seed" cx="{axis.x(seed):.1f}" cy="18" r="2"/>' for seed in seeds]
    parts.append(f'<circle class="v{colour}" cx="{axis.x(value):.1f}" cy="11" r="4.5"/>')
    return svg(_CELL, 22, parts, "mean with its 95 % interval")


def difference_plot(value: float, low: float, high: float, reach: float) -> Markup:
    """A difference with its interval against 0; `reach` is the end of the axis on both sides."""
    width, middle = 300.0, 13.0
    zero, a, x, b = (place(each, -reach, reach, 8, width - 8) for each in (0.0, low, value, high))
    parts = [
        f'<line class="grid" x1="8" x2="{width - 8:.0f}" y1="{middle}" y2="{middle}"/>',
        f'<line class="zero" x1="{zero:.1f}" x2="{zero:.1f}" y1="3" y2="23"/>',
        f'<line class="whisker" x1="{a:.1f}" x2="{b:.1f}" y1="{middle}" y2="{middle}"/>',
        f'<circle class="point" cx="{x:.1f}" cy="{middle}" r="5"/>',
        label(zero, 35, "no difference", "tick", "middle"),
    ]
    return svg(width, 39, parts, "difference with its 95 % interval")


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
        parts.append(label(left - 5, y + 4, f"{tick:g}", "tick", "end"))
    for step, anchor in ((x_low, "start"), (x_high, "end")):
        parts.append(label(left if anchor == "start" else right, bottom + 15, f"{step:g}", "tick", anchor))
    parts.append(label((left + right) / 2, bottom + 15, "step", "tick", "middle"))
    for line in lines:
        points = [(place(x, x_low, x_high, left, right), place(y, low, high, bottom, top)) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="{escape(line.style)}" points="{path}"/>')
        if line.style == "heldout":
            parts += [f'<circle class="heldout-dot" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in points]
    return svg(300, bottom + 22, parts, "values over steps")


def svg(width: float, height: float, parts: Iterable[str], title: str) -> Markup:
    """An inline figure; `title` is what a screen reader says of it."""
    body = "".join(parts)
    return Markup(f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">{body}</svg>')


def label(x: float, y: float, text: str, style: str, anchor: str, length: int = 17) -> str:
    """One line of text, cut where it would be too long."""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(_short(text, length))}</text>'


def _short(text: str, length: int) -> str:
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

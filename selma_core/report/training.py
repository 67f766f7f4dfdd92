"""Loss curves of the adapters and scorers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import attrs
from markupsafe import Markup

from selma_core.artifacts.adapter import CURVE
from selma_core.artifacts.jsonl import read_rows
from selma_core.report.figures import Line, curve_plot
from selma_core.report.source import ReportSource, read_or_note

_WINDOW = 9
_SHOWN = 24


@attrs.frozen
class Curve:
    """The curve of one adapter. Attributes: caption = its last values in words."""

    node: str
    figure: Markup
    caption: str


def curves(source: ReportSource, notes: list[str]) -> list[Curve]:
    """One per trained adapter, of the first two dozen, on one scale; merged ones have none and are left out."""
    found: dict[str, list[Mapping[str, float]]] = {}
    seen: set[str] = set()
    for node in source.nodes:
        if node.kind in ("adapter_trainer", "scorer_trainer") and node.artifact is not None:
            if node.fingerprint in seen or len(seen) >= _SHOWN:
                continue
            seen.add(node.fingerprint)
            rows = read_or_note(notes, f"loss curve of {node.id}", read_curve, node.artifact / CURVE)
            if rows:
                found[node.id] = rows
    shared = _range([row for rows in found.values() for row in rows])
    return [Curve(name, curve_plot(_lines(rows), shared), _caption(rows)) for name, rows in found.items()]


def read_curve(path: Path) -> list[Mapping[str, float]]:
    """The rows of a `curve.jsonl` that have a step; none where there is no such file."""
    rows = [dict(row.values) for row in read_rows(path)] if path.is_file() else []
    return [row for row in rows if isinstance(row.get("step"), int | float)]


def series(rows: Sequence[Mapping[str, float]], name: str) -> list[tuple[float, float]]:
    """(step, value) of the rows that hold `name`."""
    return [(row["step"], row[name]) for row in rows if isinstance(row.get(name), int | float)]


def _smooth(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Centred running mean; nothing where there are too few points to smooth."""
    if len(points) < 2 * _WINDOW:
        return []
    half = _WINDOW // 2
    return [(x, fmean(y for _, y in points[max(0, i - half) : i + half + 1])) for i, (x, _) in enumerate(points)]


def _lines(rows: Sequence[Mapping[str, float]]) -> list[Line]:
    loss, heldout = series(rows, "loss"), series(rows, "heldout")
    lines = [Line(loss, "train"), Line(_smooth(loss), "smooth"), Line(heldout, "heldout")]
    return [line for line in lines if line.points]


def _range(rows: Sequence[Mapping[str, float]]) -> tuple[float, float] | None:
    ys = [y for name in ("loss", "heldout") for _, y in series(rows, name)]
    if not ys:
        return None
    margin = 0.05 * (max(ys) - min(ys)) or 0.01
    return min(ys) - margin, max(ys) + margin


def _caption(rows: Sequence[Mapping[str, float]]) -> str:
    parts = []
    for name, title in (("loss", "training"), ("heldout", "held-out")):
        points = series(rows, name)
        if points:
            parts.append(f"{title} {points[0][1]:.4f} → {points[-1][1]:.4f}")
    return ", ".join(parts)

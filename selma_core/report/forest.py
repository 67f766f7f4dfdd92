"""A comparison as a picture of its own: differences against the baseline with their intervals, as SVG for a README.

Drawn from the JSON of `selma ablate`. Standalone: styles are inside and follow the light or dark theme.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import escape

from selma_core.report.figures import place, ticks
from selma_core.report.verdicts import outcome
from selma_core.rounding import decimals

LABELS, PLOT, VALUES, ROW, HEAD = 180.0, 330.0, 170.0, 22.0, 46.0
STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1d2330; }
.soft { fill: #5b6475; } .title { font-weight: 600; }
line { stroke: #8b8f98; } .grid { stroke: #e2e0da; } .zero { stroke: #5b6475; stroke-dasharray: 3 3; }
.whisker { stroke-width: 2; } .open { fill: #8b8f98; stroke: #8b8f98; } .up { fill: #0f7a4d; stroke: #0f7a4d; }
.down { fill: #b3341c; stroke: #b3341c; }
@media (prefers-color-scheme: dark) {
  text { fill: #e8eaee; } .soft { fill: #a2a9b6; } .grid { stroke: #2c333f; }
  .up { fill: #4cc38a; stroke: #4cc38a; } .down { fill: #ff8a6b; stroke: #ff8a6b; }
}
"""


def forest_svg(result: Mapping[str, Any], title: str) -> str:
    """One row per variant: its score, its difference from the baseline and the 95 % interval of that.

    Green for better, red for worse, by the rule of the report's verdicts; grey where undecided. Variants without
    scores are left out.
    """
    metric, baseline = str(result["metric"]), str(result["baseline"])
    scores = {name: by[metric] for name, by in result["scores"].items() if by[metric]["mean"] is not None}
    rows = [row for row in result["comparisons"] if row["metric"] == metric and row["variant"] in scores]
    reach = max((abs(row[end]) for row in rows for end in ("low", "high")), default=1.0) or 1.0
    height = HEAD + ROW * (len(rows) + 1) + 30
    parts = [_text(0, 16, title, "title"), _text(0, 36, f"{metric} minus that of {baseline}, 95 % intervals", "soft")]
    parts += _axis(reach, height - 30)
    here, digits = scores.get(baseline), decimals(score["mean"] for score in scores.values())
    mean = _shown(here["mean"] if here else None, digits)
    parts += [_text(0, HEAD + ROW * 0.7, baseline), _value(HEAD + ROW * 0.7, mean)]
    for index, row in enumerate(rows, 1):
        parts += _row(row, scores[row["variant"]]["mean"], HEAD + ROW * index, reach, digits)
    width = LABELS + PLOT + VALUES
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">'
    return f"{head}<style>{STYLE}</style>{''.join(parts)}</svg>\n"


def _row(row: Mapping[str, Any], mean: float, top: float, reach: float, digits: int) -> list[str]:
    y = top + ROW / 2
    low, middle, high = (place(row[end], -reach, reach, LABELS, LABELS + PLOT) for end in ("low", "difference", "high"))
    kind = {"beats": "up", "loses to": "down"}.get(outcome(row), "open")
    change = f"{row['difference']:+.{digits}f} [{row['low']:+.{digits}f}, {row['high']:+.{digits}f}]"
    return [
        _text(0, top + ROW * 0.7, str(row["variant"])),
        f'<line class="whisker {kind}" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>',
        f'<circle class="{kind}" cx="{middle:.1f}" cy="{y:.1f}" r="4"/>',
        _value(top + ROW * 0.7, f"{_shown(mean, digits)}  {change}"),
    ]


def _axis(reach: float, bottom: float) -> list[str]:
    parts = []
    for tick in ticks(-reach, reach):
        if abs(tick) <= reach:
            x = place(tick, -reach, reach, LABELS, LABELS + PLOT)
            style = "zero" if tick == 0 else "grid"
            parts.append(f'<line class="{style}" x1="{x:.1f}" x2="{x:.1f}" y1="{HEAD}" y2="{bottom:.1f}"/>')
            parts.append(_text(x, bottom + 16, f"{tick:+g}" if tick else "0", "soft", "middle"))
    return parts


def _value(y: float, text: str) -> str:
    return _text(LABELS + PLOT + 12, y, text)


def _shown(mean: float | None, digits: int) -> str:
    return "-" if mean is None else f"{mean:.{digits}f}"


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    named = f' class="{style}"' if style else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'

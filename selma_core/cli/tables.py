"""The tables that end a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from selma_core.rounding import decimals_by_metric


def score_table(scores: Mapping[str, Mapping[str, Mapping[str, Any]]], title: str) -> Table:
    """Mean, 95 % interval and counts of each variant and metric."""
    table = _table(title, ("variant", "metric", "mean", "95 % interval", "prompts", "images"))
    places = decimals_by_metric(scores)
    for variant, metrics in scores.items():
        for metric, score in metrics.items():
            mean, low, high = (number(score[key], places[metric]) for key in ("mean", "low", "high"))
            counts = str(score["n_prompts"]), image_count(score)
            table.add_row(escape(variant), escape(metric), mean, f"{low} .. {high}", *counts)
    return table


def comparison_table(rows: Sequence[Mapping[str, Any]], places: Mapping[str, int]) -> Table:
    """Differences with interval and p value; places = decimals of each metric."""
    table = _table(
        "differences, paired by prompt", ("variant", "against", "metric", "difference", "95 % interval", "p")
    )
    for row in rows:
        digits = places.get(row["metric"], 1)
        middle, low, high = (number(row[key], digits, sign=True) for key in ("difference", "low", "high"))
        names = escape(row["variant"]), escape(row["baseline"]), escape(row["metric"])
        table.add_row(*names, middle, f"{low} .. {high}", p_value(row["p"]))
    return table


def claim_lines(claims: Sequence[Mapping[str, Any]], digits: int) -> Iterator[str]:
    """Each claim with its verdict, and the differences that it rests on; digits = decimals of the metric."""
    for claim in claims:
        source = f" ({claim['source']})" if claim["source"] else ""
        yield f"{claim['verdict']}: {claim['claim']}{source}"
        for row in claim["comparisons"]:
            middle, low, high = (number(row[key], digits, sign=True) for key in ("difference", "low", "high"))
            margin = f", margin {number(row['margin'], digits, sign=True)}" if row["margin"] else ""
            difference = f"{row['variant']} - {row['baseline']} = {middle} ({low} .. {high})"
            yield f"  {difference}, p {p_value(row['p_holm'])} after Holm{margin}"
        for pair in claim["missing"]:
            yield f"  {pair}: not measured"


def score_notes(scores: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Who judged, by which rule, and where observations are missing."""
    seen: dict[str, None] = {}
    for metrics in scores.values():
        for metric, score in metrics.items():
            judge = score.get("judge") or "the metric itself"
            seen[f"{metric}: rule {score.get('rule') or 'default'}, judged by {judge}"] = None
    yield from seen
    for variant, metrics in scores.items():
        for metric, score in metrics.items():
            if score.get("coverage", 1.0) < 1.0:
                yield f"{variant}, {metric}: only {100 * score['coverage']:.1f} % of the observations succeeded"
            if score.get("expected_images", 0) > score["n_images"]:
                yield f"{variant}, {metric}: only {image_count(score)} images were there and scored"


def print_tables(console: Console, result: Mapping[str, Any], title: str, notes: Sequence[str] = ()) -> None:
    """The scores and comparisons of a run's JSON, with notes below; nothing when there are no scores."""
    if not result["scores"]:
        return
    places = decimals_by_metric(result["scores"])
    console.print(score_table(result["scores"], title))
    if result["comparisons"]:
        console.print(comparison_table(result["comparisons"], places))
    if result.get("claims"):
        digits = places.get(str(result["metric"]), 1)
        for line in ["[bold]claims", *map(escape, claim_lines(result["claims"], digits))]:
            console.print(line, highlight=False, soft_wrap=True)
    for line in [*score_notes(result["scores"]), *notes]:
        console.print(f"[dim]{escape(line)}", highlight=False, soft_wrap=True)


def image_count(score: Mapping[str, Any]) -> str:
    """`544`, or `544 of 553` where images are missing or were not scored."""
    scored, expected = score["n_images"], score.get("expected_images", 0)
    return f"{scored} of {expected}" if expected > scored else str(scored)


def number(value: float | None, digits: int = 1, *, sign: bool = False) -> str:
    """A rounded number, `-` for no data."""
    return "-" if value is None else f"{value:{'+' if sign else ''}.{digits}f}"


def p_value(value: float | None) -> str:
    """Three decimals, small ones as a bound."""
    return "-" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position < 2 else "right", no_wrap=position == 0)
    return table

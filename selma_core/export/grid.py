"""The wide form that people read: one line per variant and metric, numbers rounded, notes below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from selma_core.export.rows import SIGNIFICANT, Row
from selma_core.rounding import decimals

DASH = "-"


@attrs.frozen
class Column:
    """A column. Attributes: numeric = set flush right."""

    title: str
    numeric: bool = False


@attrs.frozen
class Grid:
    """A table as text.

    Attributes:
        rows: one text per column. bold: places (row, column) of what is best. notes: sentences below. rule: what bold
            means, for forms that can show it.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    bold: frozenset[tuple[int, int]] = frozenset()
    rule: str = ""


def score_grid(rows: Sequence[Row], *, run: str, baseline: str, family: int) -> Grid:
    """Mean, interval, difference, p, counts, judge, rule; then a column per group.

    Args:
        baseline: what the differences are to. family: how many comparisons Holm's correction was over.
    """
    whole = [row for row in rows if not row.group]
    groups = list(dict.fromkeys(row.group for row in rows if row.group))
    parts = {(row.variant, row.metric, row.group): row for row in rows}
    metrics = list(dict.fromkeys(row.metric for row in whole))
    digits = {metric: places([row for row in whole if row.metric == metric]) for metric in metrics}
    compared, seeded = any(row.baseline for row in whole), any(row.runs is not None for row in whole)
    columns = [Column("variant"), Column("metric"), Column("mean", True), Column("95 % interval", True)]
    if compared:
        columns += [Column(f"difference to {baseline}", True), Column("95 % interval", True), Column("p (Holm)", True)]
    columns += [Column(name, True) for name in ("prompts", "images", "coverage")]
    columns += [Column("runs", True)] if seeded else []
    columns += [Column("judge"), Column("rule"), *(Column(group, True) for group in groups)]
    lines = []
    for row in whole:
        part = [parts.get((row.variant, row.metric, group)) for group in groups]
        lines.append(
            (
                *_score(row, digits[row.metric]),
                *(_difference(row, digits[row.metric]) if compared else ()),
                *(str(row.n_prompts), images(row), f"{100 * row.coverage:.1f} %"),
                *((DASH if row.runs is None else str(row.runs),) if seeded else ()),
                *(row.judge or DASH, row.rule or DASH),
                *(DASH if one is None else number(one.mean, digits[row.metric]) for one in part),
            )
        )
    rule = f"Bold: the best mean of a metric, only where it is better than {baseline} with p (Holm) < {SIGNIFICANT}."
    return Grid(tuple(columns), tuple(lines), _notes(run, compared, family), _best(whole), rule if compared else "")


def claim_grid(claims: Sequence[Mapping[str, Any]]) -> Grid:
    """One line per comparison of each claim; claim and verdict stand in its first."""
    titles = ("claim", "verdict", "metric", "comparison")
    numeric = ("difference", "95 % interval", "p (Holm)", "margin", "prompts", "runs")
    lines: list[tuple[str, ...]] = []
    for claim in claims:
        source = f" ({claim['source']})" if claim.get("source") else ""
        head = (f"{claim['claim']}{source}", str(claim["verdict"]), str(claim.get("metric") or DASH))
        rows = claim.get("comparisons") or [{}]
        lines += [(*(head if place == 0 else ("", "", "")), *_compared(row)) for place, row in enumerate(rows)]
    return Grid((*(Column(title) for title in (*titles,)), *(Column(title, True) for title in numeric)), tuple(lines))


def _compared(row: Mapping[str, Any]) -> tuple[str, ...]:
    if not row:
        return (DASH,) * 7
    digits = 1 if abs(row.get("difference") or 0.0) >= 10 else 2
    return (
        f"{row['variant']} - {row['baseline']}",
        number(row.get("difference"), digits, sign=True),
        interval(row.get("low"), row.get("high"), digits, sign=True),
        p_value(row.get("p_holm", row.get("p"))),
        number(row.get("margin"), digits),
        DASH if row.get("n") is None else str(row["n"]),
        DASH if row.get("runs") is None else str(row["runs"]),
    )


def _score(row: Row, digits: int) -> tuple[str, ...]:
    return (row.variant, row.metric, number(row.mean, digits), interval(row.low, row.high, digits))


def _difference(row: Row, digits: int) -> tuple[str, ...]:
    ends = interval(row.difference_low, row.difference_high, digits, sign=True)
    return (number(row.difference, digits, sign=True), ends, p_value(row.p_holm))


def _best(rows: Sequence[Row]) -> frozenset[tuple[int, int]]:
    """The means that are the best of their metric and significantly better than the baseline."""
    found = set()
    for place, row in enumerate(rows):
        rivals = [one.mean for one in rows if one.metric == row.metric and one.mean is not None]
        if row.better and row.mean == (max(rivals) if row.higher_is_better else min(rivals)):
            found.add((place, 2))
    return frozenset(found)


def _notes(run: str, compared: bool, family: int) -> tuple[str, ...]:
    first = f"Run {run}. Intervals are bootstrap intervals over prompts"
    if not compared:
        return (f"{first}.",)
    more = f"Holm's correction is for the run's {family} comparison{'' if family == 1 else 's'}."
    return (f"{first}; differences are paired by prompt. {more}",)


def one_line(text: str) -> str:
    """Without line ends, control characters and repeated blanks."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def places(rows: Sequence[Row]) -> int:
    """Decimals of a metric's rows."""
    return decimals(row.mean for row in rows)


def number(value: float | None, digits: int, *, sign: bool = False) -> str:
    """A rounded number, without a minus before zero; a dash for no data."""
    if value is None:
        return DASH
    rounded = round(value, digits) + 0.0
    return f"{rounded:{'+' if sign else ''}.{digits}f}"


def interval(low: float | None, high: float | None, digits: int, *, sign: bool = False) -> str:
    """`61.0 to 64.5`."""
    return DASH if low is None else f"{number(low, digits, sign=sign)} to {number(high, digits, sign=sign)}"


def p_value(value: float | None) -> str:
    """Three decimals, small ones as a bound."""
    return DASH if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def images(row: Row) -> str:
    """`544`, or `544 of 553` where images are missing."""
    return f"{row.n_images} of {row.expected_images}" if row.expected_images > row.n_images else str(row.n_images)

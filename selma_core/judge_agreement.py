"""How far two judges agree who answered the same questions about the same images. Pure; no torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import attrs

from selma_core.artifacts.scores import ScoreTable
from selma_core.data import Atom

# Where evaluators write the class of a question into an atom, the finest first.
_CATEGORY_KEYS = ("category_detailed", "category_broad", "category")


@attrs.frozen(kw_only=True)
class Answered:
    """One question that both judges answered. Attributes: first, second = their answers, True for yes."""

    first: bool
    second: bool
    category: str = ""


@attrs.frozen(kw_only=True)
class Agreement:
    """Attributes: n = questions that both answered; equal = share answered alike, None for n = 0; kappa = Cohen's."""

    n: int
    equal: float | None
    kappa: float | None


def agreement(pairs: Iterable[Answered]) -> Agreement:
    """Agreement over answers.

    Cohen's kappa (1960) is (equal - chance) / (1 - chance), where chance is how often two judges who say yes as often
    as these would agree by luck. It is None where both always gave one and the same answer: then chance is 1.
    """
    found = list(pairs)
    n = len(found)
    if not n:
        return Agreement(n=0, equal=None, kappa=None)
    equal = sum(pair.first == pair.second for pair in found) / n
    first, second = sum(pair.first for pair in found) / n, sum(pair.second for pair in found) / n
    chance = first * second + (1 - first) * (1 - second)
    return Agreement(n=n, equal=equal, kappa=(equal - chance) / (1 - chance) if chance < 1 else None)


def answered_by_both(first: ScoreTable, second: ScoreTable) -> Iterator[Answered]:
    """The questions that both observed of the same image, with yes/no answers; what one of them missed is left out."""
    others = {(row.item_id, atom.key): atom for row in second.rows for atom in row.atoms}
    for row in first.rows:
        for atom in row.atoms:
            one, other = _yes(atom), _yes(others.get((row.item_id, atom.key)))
            if one is not None and other is not None:
                yield Answered(first=one, second=other, category=_category(atom))


def agreement_rows(tables: Sequence[tuple[str, ScoreTable]]) -> list[dict[str, Any]]:
    """The `agreement` of a run's JSON: one row per metric and pair of judges who judged the same variants.

    Args:
        tables: (variant, observations), in the order of the run.

    Returns:
        `{metric, judges, n, equal, kappa, by_variant, by_category}`; the last two map names to `{n, equal, kappa}`.
        Empty without two judges, or where their observations are no yes/no answers.
    """
    found: dict[tuple[str, str, str], dict[str, list[Answered]]] = defaultdict(dict)
    for (variant, one), (same, other) in combinations(tables, 2):
        judges = one.info.judge, other.info.judge
        if variant == same and one.info.name == other.info.name and judges[0] != judges[1]:
            pairs = list(answered_by_both(one, other))
            if pairs:
                found[one.info.name, *judges][variant] = pairs
    return [_row(metric, (a, b), by_variant) for (metric, a, b), by_variant in found.items()]


def _row(metric: str, judges: tuple[str, str], by_variant: Mapping[str, Sequence[Answered]]) -> dict[str, Any]:
    everything = [pair for pairs in by_variant.values() for pair in pairs]
    by_category: dict[str, list[Answered]] = defaultdict(list)
    for pair in everything:
        if pair.category:
            by_category[pair.category].append(pair)
    return {
        "metric": metric,
        "judges": list(judges),
        **attrs.asdict(agreement(everything)),
        "by_variant": {name: attrs.asdict(agreement(pairs)) for name, pairs in by_variant.items()},
        "by_category": {name: attrs.asdict(agreement(pairs)) for name, pairs in sorted(by_category.items())},
    }


def _yes(atom: Atom | None) -> bool | None:
    """The answer of an atom; None where there is none, or where its value is neither 0 nor 1."""
    if atom is None or atom.status != "ok" or atom.value not in (0.0, 1.0):
        return None
    return atom.value == 1.0


def _category(atom: Atom) -> str:
    return next((str(atom.data[key]) for key in _CATEGORY_KEYS if atom.data.get(key)), "")

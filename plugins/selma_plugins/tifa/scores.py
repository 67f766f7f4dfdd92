"""From stored answers to TIFA's numbers. Pure: no model, no torch, no file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

import attrs

from selma_core.averages import average_over_prompts
from selma_core.data import Atom, ItemAtoms, MetricInfo, PromptScore, Summary
from selma_plugins.tifa.protocol import is_literal

STDEV = "stdev over captions"


def image_score(atoms: Sequence[Atom], spec: Mapping[str, Any], rule: str) -> float | None:
    """The mean over the observed questions of one image; None when there is none."""
    values = [value for _, value in answered(atoms, spec, rule)]
    return fmean(values) if values else None


def answered(atoms: Sequence[Atom], spec: Mapping[str, Any], rule: str) -> Iterator[tuple[Mapping[str, Any], float]]:
    """(question, 1 or 0) of the questions that were answered, in file order."""
    seen = {atom.key: atom for atom in atoms if atom.status == "ok" and atom.value is not None}
    for question in spec["questions"]:
        atom = seen.get(question["id"])
        if atom is not None:
            wrong = is_literal(rule) and not atom.data["literal"]
            yield question, 0.0 if wrong else float(atom.value or 0.0)


def summarise_rows(
    rows: Sequence[ItemAtoms], specs: Mapping[str, Any], rule: str, *, info: MetricInfo, judge: str
) -> Summary:
    """TIFA: the mean over captions of the mean over questions.

    `categories` are the accuracies by element type (means over questions), and `stdev over captions`: the sample
    deviation that TIFA prints, which is no standard error. `groups` are the captions' sources.
    """
    summary = average_over_prompts(
        rows,
        specs,
        lambda row, spec: image_score(row.atoms, spec, rule),
        info=info,
        rule=rule,
        judge=judge,
        expected=lambda spec: spec["expected"],
    )
    by_type: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for question, value in answered(row.atoms, specs[row.prompt_id], rule):
            by_type[question["element_type"] or "other"].append(value)
    categories = {name: 100.0 * fmean(by_type[name]) for name in sorted(by_type)}
    return attrs.evolve(summary, categories=categories | _deviation(summary.prompts))


def _deviation(prompts: Sequence[PromptScore]) -> dict[str, float]:
    values = [prompt.value for prompt in prompts if prompt.value is not None]
    return {STDEV: 100.0 * stdev(values)} if len(values) > 1 else {}

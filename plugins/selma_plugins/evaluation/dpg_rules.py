"""DPG-Bench's arithmetic: as released, with its bugs, and repaired. Pure: no model, no torch, no file.

Source: Hu et al. 2024, arXiv 2403.05135; TencentQQGYLab/ELLA, dpg_bench/compute_dpg_bench.py. `official` keeps that

1. the first row of the benchmark's file is skipped;
2. an exception drops the image: a failed call, a question that depends on one that is not there (like those that depend
   on the skipped row), a dependency that is no number (there it even ends the script);
3. class scores are the raw answers, not zeroed by failed parents, of a prompt's last crop only;
4. failed parents are followed in place, row after row, so a parent in a later row has not cascaded yet.

`fixed` counts every row, lets a lost answer cost only what depends on it, takes class scores from all crops after
zeroing, and zeroes a question with any failed ancestor whatever the order of rows; unusable pieces of a dependency are
dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

import attrs

from selma_core.errors import UnknownNameError, did_you_mean
from selma_plugins.evaluation.rules import Question, Scores, transitive

Spec = Mapping[str, Any]
Crop = Sequence[Question]
"""The questions of a spec, in file order, with the answers about one crop."""


@attrs.frozen
class Rule:
    """A named rule.

    Attributes:
        crops: (spec, crops of an image) -> one list of scores per crop; empty where the image is dropped.
        classes: the same for the class scores.
        last_only: class scores are of a prompt's last crop.
    """

    crops: Callable[[Spec, Sequence[Crop]], list[Scores]]
    classes: Callable[[Spec, Sequence[Crop]], list[Scores]]
    last_only: bool

    def image(self, spec: Spec, crops: Sequence[Crop]) -> float | None:
        """The mean over crops of the mean over questions, in [0, 1]; None where nothing counts."""
        means = [fmean(seen) for scores in self.crops(spec, crops) if (seen := _seen(scores))]
        return fmean(means) if means else None


def rule_of(name: str) -> Rule:
    """The rule of a name.

    Raises:
        UnknownNameError: with the nearest name.
    """
    if name not in RULES:
        raise UnknownNameError(f"dpg has no rule '{name}': {did_you_mean(name, RULES)}")
    return RULES[name]


def _official(spec: Spec, crops: Sequence[Crop]) -> list[Scores]:
    try:
        return [_cascaded(crop, _skipped(spec)) for crop in crops]
    except (ValueError, KeyError):
        return []


def _official_classes(spec: Spec, crops: Sequence[Crop]) -> list[Scores]:
    skipped = _skipped(spec)
    if not _official(spec, crops):
        return []
    return [[None if q.id in skipped else q.value for q in crop] for crop in crops]


def _cascaded(crop: Crop, skipped: frozenset[str]) -> Scores:
    """One crop, zeroed in place.

    Raises:
        ValueError: an answer is lost, a dependency is no number, or there is no question. KeyError: no such parent.
    """
    kept = [question for question in crop if question.id not in skipped]
    if not kept or any(question.value is None for question in kept):
        raise ValueError
    scores = {question.id: question.value for question in kept}
    for question in kept:
        parents = [int(piece) for piece in question.dependency.split(",")]
        if not all(scores[str(parent)] for parent in parents if parent != 0):
            scores[question.id] = 0.0
    return [scores.get(question.id) for question in crop]


def _fixed(spec: Spec, crops: Sequence[Crop]) -> list[Scores]:
    return [transitive(crop) for crop in crops]


def _skipped(spec: Spec) -> frozenset[str]:
    return frozenset(question["id"] for question in spec["questions"] if question.get("first_row"))


def _seen(scores: Scores) -> list[float]:
    return [score for score in scores if score is not None]


RULES: dict[str, Rule] = {
    "official": Rule(_official, _official_classes, last_only=True),
    "fixed": Rule(_fixed, _fixed, last_only=False),
}

"""Conformance of evaluators."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from selma_core.data import Atom, ImageItem, ItemAtoms, MetricInfo, Summary
from selma_core.protocols import Context
from selma_core.testing.context import FakeContext
from selma_core.testing.require import require, require_json, require_protocol


def check_evaluator(
    factory: Callable[[Any], Any],
    options: Any,
    *,
    items: Sequence[ImageItem],
    workdir: Path,
    context: Context | None = None,
) -> Summary:
    """Observes the images, then scores the same observations again, in a fresh instance, and with a failed call.

    Raises:
        ConformanceError: observations that do not belong to an item, a score that is impure or out of range, a failed
            call that counts as an answer.
    """
    context = context or FakeContext(workdir=workdir)
    evaluator = factory(options)
    require_protocol(evaluator, "evaluator")
    info = evaluator.info
    require(isinstance(info, MetricInfo) and bool(info.rules), "info must be a MetricInfo with at least one rule")
    prompts = list({item.prompt.id: item.prompt for item in items}.values())
    specs = evaluator.prepare(prompts, context)
    require(set(specs) >= {prompt.id for prompt in prompts}, "prepare() must give one spec per prompt id")
    require_json(dict(specs), "the specs of prepare()")
    rows = list(evaluator.observe(items, specs, context))
    _check_rows(rows, items)
    for rule in info.rules:
        _check_scores(factory(options), info, rows, specs, rule)
    summary = evaluator.aggregate(rows, specs, info.rules[0])
    again = factory(options).aggregate(rows, specs, info.rules[0])
    require(again == summary, "aggregate() gave another summary for the same rows; it must be pure")
    _check_failure(evaluator, rows, specs, summary, info.rules[0])
    nothing = evaluator.aggregate([], specs, info.rules[0])
    require(nothing.mean is None, f"without observations the mean must be None, not {nothing.mean}")
    return summary  # type: ignore[no-any-return]


def _check_rows(rows: Sequence[Any], items: Sequence[ImageItem]) -> None:
    for row in rows:
        require(isinstance(row, ItemAtoms), f"observe() yielded a {type(row).__name__}; yield ItemAtoms")
    require(
        sorted(row.item_id for row in rows) == sorted(item.item_id for item in items),
        "observe() must yield exactly one ItemAtoms per image",
    )
    by_id = {item.item_id: item for item in items}
    for row in rows:
        belongs = row.prompt_id == by_id[row.item_id].prompt.id and row.k == by_id[row.item_id].k
        require(belongs, f"'{row.item_id}' came back with another prompt_id or k")
        keys = [atom.key for atom in row.atoms]
        require(len(set(keys)) == len(keys), f"'{row.item_id}' has one atom key twice")
        for atom in row.atoms:
            right = (atom.value is None) == (atom.status != "ok")
            require(right, f"atom '{atom.key}': a value belongs to status 'ok', and only to it")
            require_json(dict(atom.data), f"data of atom '{atom.key}'")


def _check_scores(evaluator: Any, info: MetricInfo, rows: Sequence[ItemAtoms], specs: Any, rule: str) -> None:
    low, high = info.range
    for row in rows:
        atoms, spec = tuple(row.atoms), specs[row.prompt_id]
        before = copy.deepcopy((atoms, spec))
        value = evaluator.score(atoms, spec, rule)
        require(
            evaluator.score(atoms, spec, rule) == value, f"score() under '{rule}' gave another value the second time"
        )
        require((atoms, spec) == before, f"score() under '{rule}' changed its arguments")
        if value is not None:
            inside = (low is None or value >= low) and (high is None or value <= high)
            require(inside, f"score() under '{rule}' gave {value}, outside of info.range {info.range}")


def _check_failure(evaluator: Any, rows: Sequence[ItemAtoms], specs: Any, summary: Summary, rule: str) -> None:
    first = next((row for row in rows if any(atom.status == "ok" for atom in row.atoms)), None)
    if first is None:
        return
    broken = attrs.evolve(first, atoms=tuple(_failed(atom) for atom in first.atoms))
    after = evaluator.aggregate([broken if row is first else row for row in rows], specs, rule)
    require(after.coverage < summary.coverage, "atoms with status 'error' must lower the coverage")
    value = evaluator.score(broken.atoms, specs[first.prompt_id], rule)
    require(value is None, f"an image with failed calls only must score None, not {value}: it is missing data")


def _failed(atom: Atom) -> Atom:
    return attrs.evolve(atom, value=None, raw=None, status="error")

"""Stage `evaluator`: observations are stored image by image; numbers are computed from them afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from selma_core.artifacts.jsonl import Appender, Row, repair
from selma_core.artifacts.scores import ImageValue, ScoreTable, atom_rows, parse_atom, write_scores
from selma_core.data import ImageItem, ItemAtoms, Prompt
from selma_core.errors import StageError
from selma_core.files import write_json
from selma_core.protocols import Comparing
from selma_core.stages.task import Task


def run_scores(task: Task) -> None:
    """Observes what is not observed yet, then writes the table in image order."""
    items = {item.item_id: item for item in task.images()}
    _give_baseline(task)
    specs = _specs(task, tuple({item.prompt.id: item.prompt for item in items.values()}.values()))
    path = task.scratch / "observed.jsonl"
    observed = {atoms.item_id: atoms for atoms in map(_parse, repair(path)) if atoms.item_id in items}
    left = tuple(item for item in items.values() if item.item_id not in observed)
    with Appender(path) as file:  # also with nothing left: observing is what tells the evaluator who the judge is
        _observe(task, left, specs, observed, file, len(items))
    missing = [name for name in items if name not in observed]
    if missing:
        raise StageError(f"the evaluator left out {len(missing)} of {len(items)} images, first: {missing[0]}")
    table = ScoreTable(task.implementation.info, specs, tuple(observed[name] for name in items))
    _warn_of_errors(task, table)
    write_scores(task.out, table, [_value(task.implementation, row, table) for row in table.rows])


def _give_baseline(task: Task) -> None:
    evaluator = task.implementation
    if isinstance(evaluator, Comparing):
        evaluator.against(task.images("baseline"))
    elif task.folders("baseline"):
        raise StageError(f"the evaluator '{evaluator.info.name}' compares with nothing; leave out the port 'baseline'")


def _specs(task: Task, prompts: tuple[Prompt, ...]) -> Mapping[str, Any]:
    """Specs may come from a model, so a resumed stage reads those of its first attempt."""
    path = task.scratch / "specs.json"
    if not path.exists():
        write_json(path, dict(task.implementation.prepare(prompts, task.context)))
    specs: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return specs


def _observe(
    task: Task,
    items: tuple[ImageItem, ...],
    specs: Mapping[str, Any],
    observed: dict[str, ItemAtoms],
    file: Appender,
    total: int,
) -> None:
    wanted = {item.item_id for item in items}
    task.context.progress(len(observed), total)
    for atoms in task.implementation.observe(items, specs, task.context):
        if atoms.item_id not in wanted:
            raise StageError(f"the evaluator observed an image that it was not given (or twice): {atoms.item_id}")
        wanted.remove(atoms.item_id)
        file.add({"rows": atom_rows(atoms)})
        observed[atoms.item_id] = atoms
        task.context.progress(len(observed), total)


def _parse(row: Row) -> ItemAtoms:
    rows = [Row(row.path, row.number, entry) for entry in row.take("rows", list)]
    return ItemAtoms(
        item_id=rows[0].take("item_id", str),
        prompt_id=rows[0].take("prompt_id", str),
        k=rows[0].take("k", int),
        atoms=tuple(parse_atom(atom) for atom in rows if atom.values.get("key") is not None),
    )


def _value(evaluator: Any, row: ItemAtoms, table: ScoreTable) -> ImageValue:
    spec = table.specs.get(row.prompt_id)
    values = {rule: evaluator.score(row.atoms, spec, rule) for rule in table.info.rules}
    return ImageValue(row.item_id, row.prompt_id, row.k, values)


def _warn_of_errors(task: Task, table: ScoreTable) -> None:
    atoms = [atom for row in table.rows for atom in row.atoms]
    failed = sum(atom.status == "error" for atom in atoms)
    if failed:
        task.context.warn(f"{failed} of {len(atoms)} observations failed; they lower the coverage, not the score")

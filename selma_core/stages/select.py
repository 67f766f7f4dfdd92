"""Stage `selector`: some images of the sets read, with the reason why they were kept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from selma_core.artifacts.images import item_row, write_images
from selma_core.artifacts.scores import read_scores, read_values
from selma_core.errors import StageError
from selma_core.files import writing
from selma_core.protocols import SelectJob
from selma_core.stages.task import Task


def run_select(task: Task) -> None:
    """Lets the selector choose, then copies what was kept (as hard links where the file system can)."""
    items = task.images()
    job = SelectJob(context=task.context, items=items, scores=_scores(task))
    kept = list(task.implementation.select(job))
    known = {item.item_id: item for item in items}
    names: dict[str, str] = {}
    for item, _ in kept:
        if known.get(item.item_id) != item:
            raise StageError(f"the selector kept an image that it was not given: {item.item_id}")
        if item.path.name in names:
            raise StageError(f"the selector kept two images of one file name: {names[item.path.name]}, {item.item_id}")
        names[item.path.name] = item.item_id
    if not kept:
        raise StageError(f"the selector kept none of {len(items)} images")
    for item, _ in kept:
        _copy(item.path, task.out / item.path.name)
    write_images(task.out, [item_row(item, why) for item, why in kept])


def _scores(task: Task) -> dict[str, dict[str, float | None]]:
    """metric -> item id -> value under the metric's default rule; `metric:judge` where several judges measured it."""
    tables: dict[str, dict[str, dict[str, float | None]]] = {}
    for folder in task.folders("scores"):
        info = read_scores(folder).info
        values = tables.setdefault(info.name, {}).setdefault(info.judge, {})
        values.update({value.item_id: value.values.get(info.rules[0]) for value in read_values(folder)})
    found: dict[str, dict[str, float | None]] = {}
    for metric, judges in tables.items():
        for judge, values in judges.items():
            found[metric if len(judges) == 1 else f"{metric}:{judge}"] = values
    return found


def _copy(source: Path, target: Path) -> None:
    with writing(target):
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)

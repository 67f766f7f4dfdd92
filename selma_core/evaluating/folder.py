"""`selma evaluate`: a folder of images that SELMA did not make, scored by the same stages and store as a run's own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from selma_core.artifacts.images import read_import
from selma_core.catalog import Catalog
from selma_core.engine import run_session
from selma_core.errors import UserError
from selma_core.evaluating.recipe import IMPORTER, Wanted, open_wanted
from selma_core.events import Event
from selma_core.protocols import ImageImporter, PromptJob
from selma_core.registry import Registry
from selma_core.result import Run
from selma_core.session import Session, session_of
from selma_core.stages.context import StageContext


@attrs.frozen(kw_only=True)
class Evaluation:
    """A folder of images, scored.

    Attributes:
        run: the run behind it: its stages, stored observations, report.
        expected_images: prompts of the benchmark x images per prompt. found_images: how many of them are there.
        result: the JSON object of `selma evaluate --json`.
    """

    run: Run
    expected_images: int
    found_images: int
    result: Mapping[str, Any]

    @property
    def coverage(self) -> float:
        """Found / expected images, 0-1."""
        return self.found_images / self.expected_images if self.expected_images else 0.0

    @property
    def ok(self) -> bool:
        """Whether every evaluator is done."""
        return self.run.ok


def evaluate_folder(
    wanted: Wanted,
    catalog: Catalog,
    *,
    store: Path | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Evaluation:
    """Scores a folder; what was observed before is reused.

    Raises:
        UserError: an unknown name, a wrong option, a folder whose images belong to no prompt; with `strict` missing
            images.
    """
    opened = open_wanted(wanted, catalog, Registry(catalog.registry_sources()))
    session = session_of(opened, store=store)
    _look_first(session)
    if wanted.strict:
        _check_whole(run_session(session_of(opened, store=store, until=("images",)), on_event))
    run = run_session(session, on_event)
    record = _imported(run)
    result = _result(wanted, session, run, record)
    return Evaluation(
        run=run, expected_images=record["expected_images"], found_images=record["found_images"], result=result
    )


def _look_first(session: Session) -> None:
    """Matches the folder with the prompts before anything is written, so that a wrong folder is one line.

    Raises:
        UserError: as the stages would, had they run.
    """
    nodes = {node.label: node for node in session.graph}
    with tempfile.TemporaryDirectory(prefix="selma-evaluate-") as folder:
        context = StageContext(
            seed=session.graph.seed,
            workdir=Path(folder),
            catalog=session.catalog,
            registry=session.registry,
            report=lambda event: None,
        )
        source, importer = (
            session.catalog.build(nodes[name].offer, nodes[name].bound) for name in ("prompts", "images")
        )
        if not isinstance(importer, ImageImporter):
            raise UserError(f"the image generator '{nodes['images'].offer.name}' imports nothing: it is no {IMPORTER}")
        prompts = [prompt for batch in source.prompts(PromptJob(context=context)) for prompt in batch.accepted]
        importer.find(prompts, context)


def _imported(run: Run) -> dict[str, Any]:
    """What the import of the folder said of itself.

    Raises:
        UserError: the prompts or the images could not be read: nothing was judged.
    """
    for node in run.nodes:
        if node.label in ("prompts", "images") and node.error is not None:
            raise UserError(node.error.partition(": ")[2] or node.error)
    (images,) = [node for node in run.nodes if node.label == "images"]
    record = read_import(run.artifact(images.id))
    assert record is not None  # the stage wrote it
    return record


def _check_whole(run: Run) -> None:
    record = _imported(run)
    expected, found = record["expected_images"], record["found_images"]
    if found < expected:
        names = ", ".join(list(record["missing"])[:3])
        raise UserError(
            f"only {found} of {expected} expected images are there ({len(record['missing'])} prompt(s) lack some, "
            f"first: {names}); nothing was judged"
        )


def _result(wanted: Wanted, session: Session, run: Run, record: Mapping[str, Any]) -> dict[str, Any]:
    metrics: Mapping[str, Any] = next(iter(run.result["scores"].values()), {})
    expected, found = record["expected_images"], record["found_images"]
    return {
        "run": run.run_id,
        "images": str(wanted.images.expanduser().resolve()),
        "benchmark": wanted.benchmark,
        "prompts": record["prompts"],
        "expected_images": expected,
        "found_images": found,
        "coverage": found / expected if expected else 0.0,
        "missing": dict(record["missing"]),
        "unmatched": list(record["unmatched"]),
        "unreadable": list(record["unreadable"]),
        "warnings": [line for node in run.nodes for line in node.warnings],
        "scores": metrics,
        "artifacts": {node.label: str(node.artifact) for node in run.nodes if node.artifact is not None},
        "report": run.result["report"],
    }

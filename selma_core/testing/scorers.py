"""Conformance of scorer trainers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from selma_core.artifacts.scorer import CARD, CURVE, write_scorer
from selma_core.data import ImageItem
from selma_core.errors import ArtifactError
from selma_core.protocols import Context, ScorerJob, TrainedScorer
from selma_core.testing.context import FakeContext, Interrupted
from selma_core.testing.require import require, require_json, require_protocol

Scores = Mapping[str, Mapping[str, Mapping[str, float | None]]]


def check_scorer_trainer(
    factory: Callable[[Any], Any],
    options: Any,
    *,
    images: Sequence[ImageItem],
    scores: Scores,
    workdir: Path,
    make_context: Callable[[Path, int | None], Context] | None = None,
    interrupt_after: int | None = 2,
) -> Path:
    """Trains whole, trains again, and trains with a simulated kill at a call of `context.progress`.

    Args:
        scores: metric -> item_id -> rule -> value. make_context: (workdir, interrupt_after) -> a context with the
            entries that the trainer needs. interrupt_after: the call of `progress` that the kill comes at; None skips
            this check.

    Returns:
        The folder of the scorer, as the store would hold it.

    Raises:
        ConformanceError: files that are no scorer's, other files the second time or after a kill.
    """

    def run(name: str, interrupt: int | None = None) -> Path:
        folder, out = workdir / name, workdir / f"{name}-{interrupt or 'whole'}"
        for made in (folder, out):
            made.mkdir(parents=True, exist_ok=True)
        make = make_context or (lambda where, when: FakeContext(workdir=where, interrupt_after=when))
        job = ScorerJob(context=make(folder, interrupt), images=tuple(images), scores=scores, out=out)
        _write(out, factory(options).train(job))
        return out

    require_protocol(factory(options), "scorer_trainer")
    first = run("first")
    _check_same(first, run("second"), "the same images and seed gave another scorer; seed from context.seed")
    if interrupt_after is not None:
        with suppress(Interrupted):
            run("killed", interrupt_after)
        _check_same(
            first, run("killed"), "after a kill the scorer differs; save everything it needs in context.workdir"
        )
    return first


def _write(out: Path, trained: Any) -> None:
    require(isinstance(trained, TrainedScorer), f"train() gave a {type(trained).__name__}; give TrainedScorer")
    require_json(dict(trained.metadata), "the scorer's metadata")
    for row in trained.curve:
        require("step" in row, f"a row of the curve lacks 'step': {row}")
    own = [name for name in (CARD, CURVE) if (out / name).exists()]
    require(not own, f"train() wrote {', '.join(own)}; that is the core's: give it in TrainedScorer")
    try:
        write_scorer(out, trained)
    except ArtifactError as error:
        require(False, str(error))


def _check_same(first: Path, second: Path, message: str) -> None:
    files = [{path.relative_to(where): path.read_bytes() for path in _files(where)} for where in (first, second)]
    require(files[0] == files[1], message)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())

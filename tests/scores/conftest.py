"""Released answers as stored score tables, and runs that hold them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from selma_plugins.evaluation.dsg_answers import read_answers

from selma_core.artifacts.scores import ScoreTable, write_scores
from selma_core.catalog import Catalog
from selma_core.cli.app import run_app
from selma_core.data import Atom, ItemAtoms
from selma_core.protocols import AnswersJob
from selma_core.registry import Registry

Call = Callable[..., Any]


@pytest.fixture(scope="session")
def released(root: Path) -> Path:
    return root / "tests" / "data" / "dsg" / "pali17b_dsg.csv.gz"


@pytest.fixture(scope="session")
def golden(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "tests" / "data" / "dsg" / "golden.json").read_text())
    return found


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command line; gives the JSON of its stdout, or its one error line when it fails."""

    def run(*tokens: Any, code: int = 0) -> Any:
        capsys.readouterr()
        found = run_app([str(token) for token in tokens])
        out, err = capsys.readouterr()
        assert found == code, err
        if code == 0:
            return json.loads(out) if "--json" in tokens else out
        (line,) = err.strip().splitlines()
        return line.removeprefix("selma: error: ")

    return run


@pytest.fixture(scope="session")
def tifa160(released: Path) -> Callable[[str], ScoreTable]:
    """Generator -> its answers on TIFA160, the prompt without released answers answered by empty texts."""
    registry = Registry(Catalog.discover().registry_sources())
    entry = registry.entry("benchmarks", "dsg1k")

    def make(model: str) -> ScoreTable:
        table = read_answers(AnswersJob(path=released, benchmark=entry, source=model)).table
        specs = {key: spec for key, spec in table.specs.items() if key.startswith("tifa160")}
        rows = [row for row in table.rows if row.prompt_id in specs]
        lost = "tifa160_134"
        atoms = tuple(Atom(key=q["id"], value=0.0, raw="") for q in specs[lost]["questions"])
        rows.append(ItemAtoms(item_id=f"{lost}-0", prompt_id=lost, k=0, atoms=atoms))
        info = attrs.evolve(table.info, judge="pali17b")
        return ScoreTable(info, specs, tuple(rows))

    return make


@pytest.fixture
def folder(tmp_path: Path, tifa160: Callable[[str], ScoreTable]) -> Callable[..., Path]:
    """Writes a table as an artifact folder, with changes to its info or its answers."""

    def make(model: str, name: str = "", *, answer: Callable[[str, Atom], Atom] | None = None, **info: Any) -> Path:
        table, place = tifa160(model), tmp_path / (name or model)
        place.mkdir(parents=True)
        rows = table.rows
        if answer is not None:
            rows = tuple(attrs.evolve(r, atoms=tuple(answer(r.prompt_id, a) for a in r.atoms)) for r in rows)
        write_scores(place, ScoreTable(attrs.evolve(table.info, **info), table.specs, rows), [])
        return place

    return make


@pytest.fixture
def store_run(tmp_path: Path, folder: Callable[..., Path]) -> Callable[..., str]:
    """A run of the store `tmp_path / "store"` whose variants are generators (name -> model or keywords of `folder`)."""

    def make(run: str, variants: dict[str, Any], report: dict[str, Any] | None = None) -> str:
        stages = []
        for name, how in variants.items():
            fields = {"model": how} if isinstance(how, str) else how
            place = None if how is None else folder(name=f"artifacts-{run}-{name}", **fields)
            stages.append(
                {"id": f"score[{name}]", "kind": "evaluator", "fingerprint": "0" * 64, "artifact": place and str(place)}
            )
        stages.append({"id": "sample[x]", "kind": "image_generator", "fingerprint": "1" * 64, "artifact": None})
        where = tmp_path / "store" / "runs" / run
        where.mkdir(parents=True)
        record = {"run": run, "seed": 3, "stages": stages, "config": {"report": report or {}}}
        (where / "run.json").write_text(json.dumps(record))
        return run

    return make

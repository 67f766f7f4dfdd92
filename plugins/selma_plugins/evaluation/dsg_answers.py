"""Answers to DSG questions as the authors of DSG release them: one CSV row per question and image generator."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from selma_core.artifacts.scores import ScoreTable
from selma_core.data import Atom, ItemAtoms, MetricInfo
from selma_core.errors import ArtifactError, UnknownNameError, UserError, did_you_mean
from selma_core.protocols import Answers, AnswersJob
from selma_plugins.benchmarks.dsg_csv import BenchmarkPrompt, read_benchmark
from selma_plugins.evaluation.answers import verdict
from selma_plugins.evaluation.dsg import spec_of
from selma_plugins.evaluation.options import DSG_RULES

COLUMNS = ("t2i_model", "item_id", "question", "question_id", "answer")

Row = Mapping[str, str]


def read_answers(job: AnswersJob) -> Answers:
    """The answers about one generator's images.

    The prompts that should have answers are those of the splits (`tifa160`, `vrd`, ...) of which some have: the
    authors put all of DSG-1k to one generator and TIFA160 alone to four others. A split without any answer is noted.

    Raises:
        ArtifactError: no such file, a missing column, an unknown prompt or question, a question answered twice.
        UnknownNameError, UserError: see `AnswersReader`.
    """
    rows = list(_rows(job.path))
    source = _source([row["t2i_model"] for _, row in rows], job)
    benchmark = read_benchmark(job.benchmark)
    atoms: dict[str, dict[str, Atom]] = {}
    differing: list[str] = []
    for number, row in rows:
        if row["t2i_model"] == source:
            _add(atoms, row, benchmark, f"{job.path}, line {number}", differing)
    splits = {_split(key) for key in atoms}
    expected = {key: prompt for key, prompt in benchmark.items() if _split(key) in splits}
    table = ScoreTable(
        # who answered is not in the file
        info=MetricInfo(name="dsg", rules=DSG_RULES, judge=f"answers in {job.path.name}"),
        specs={key: spec_of(prompt) for key, prompt in expected.items()},
        rows=tuple(
            ItemAtoms(item_id=f"{key}-0", prompt_id=key, k=0, atoms=tuple(atoms[key].values()))
            for key in expected
            if key in atoms
        ),
    )
    unclear = sum(verdict(atom.raw or "") == "unclear" for found in atoms.values() for atom in found.values())
    return Answers(
        table=table, counts={"neither_yes_nor_no": unclear}, notes=_notes(job, source, expected, benchmark, differing)
    )


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        with _open(path) as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ArtifactError(f"{path} is no file of DSG answers: no column {', '.join(missing)}")
            for row in reader:
                if any(row[name] is None for name in COLUMNS):
                    raise ArtifactError(f"{path}, line {reader.line_num}: has too few columns")
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error, EOFError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _source(names: list[str], job: AnswersJob) -> str:
    known = list(dict.fromkeys(names))
    if not known:
        raise ArtifactError(f"{job.path}: holds no answers")
    if job.source is None:
        if len(known) > 1:
            raise UserError(
                f"{job.path}: answers about {len(known)} models; choose one by --t2i-model: {', '.join(known)}"
            )
        return known[0]
    if job.source not in known:
        raise UnknownNameError(f"{job.path}: no answers about model '{job.source}'; {did_you_mean(job.source, known)}")
    return job.source


def _add(
    atoms: dict[str, dict[str, Atom]],
    row: Row,
    benchmark: Mapping[str, BenchmarkPrompt],
    where: str,
    differing: list[str],
) -> None:
    key, question_id = row["item_id"], row["question_id"]
    if key not in benchmark:
        raise ArtifactError(f"{where}: the benchmark has no prompt '{key}'; {did_you_mean(key, benchmark)}")
    asked = next((one for one in benchmark[key].questions if one.id == question_id), None)
    if asked is None:
        known = ", ".join(one.id for one in benchmark[key].questions)
        raise ArtifactError(f"{where}: prompt '{key}' has no question {question_id}; it has: {known}")
    found = atoms.setdefault(key, {})
    if question_id in found:
        raise ArtifactError(f"{where}: prompt '{key}', question {question_id} is answered a second time")
    if asked.question.strip() != row["question"].strip():
        differing.append(f"{where}: '{row['question']}'")
    found[question_id] = Atom(key=question_id, value=float(verdict(row["answer"]) == "yes"), raw=row["answer"])


def _split(item_id: str) -> str:
    """`stanford_paragraph_54` -> `stanford_paragraph`."""
    return item_id.rpartition("_")[0]


def _notes(
    job: AnswersJob,
    source: str,
    expected: Mapping[str, BenchmarkPrompt],
    benchmark: Mapping[str, BenchmarkPrompt],
    differing: list[str],
) -> tuple[str, ...]:
    notes = []
    left = [key for key in benchmark if key not in expected]
    if left:
        splits = ", ".join(dict.fromkeys(map(_split, left)))
        share = f"{len(left)} of {len(benchmark)} prompts"
        notes.append(f"no answers about '{source}' at all in {splits}: these {share} are left out")
    if differing:
        name = job.benchmark.name
        notes.append(f"{len(differing)} questions read otherwise than in benchmark '{name}'; first: {differing[0]}")
    return tuple(notes)

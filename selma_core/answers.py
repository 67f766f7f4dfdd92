"""`selma score --answers`: a benchmark's score from answers that somebody else's judge gave."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from selma_core.catalog import Catalog
from selma_core.data import Summary
from selma_core.errors import UserError
from selma_core.offers import Offer, reader_of
from selma_core.options import info
from selma_core.protocols import Answers, AnswersJob, AnswersReader
from selma_core.records import EvaluatorRecord
from selma_core.registry import Registry
from selma_core.rescoring import rescore, scoring_evaluator, unanswered, with_zeros


@attrs.frozen(kw_only=True)
class AnswersScore:
    """A scored file of answers. Attributes: summary = unanswered prompts count as 0 (see `with_zeros`)."""

    benchmark: str
    summary: Summary
    answers: Answers

    def to_json(self) -> dict[str, Any]:
        """The object of `selma score --answers --json`."""
        return {
            "score": self.summary.mean,
            "rule": self.summary.rule,
            "by_group": dict(self.summary.groups),
            "n_prompts": len(self.summary.prompts),
            "n_answers": self.summary.n_atoms,
            "missing_prompts": unanswered(self.summary),
            **self.answers.counts,
        }


def score_answers(
    path: Path,
    benchmark: str,
    *,
    catalog: Catalog,
    registry: Registry,
    source: str | None = None,
    rule: str | None = None,
    evaluator: str | None = None,
) -> AnswersScore:
    """Reads answers and scores them, without any model.

    Args:
        path: the file. benchmark: registry name, or the path of a file of questions.
        source: whose images the answers are about; None = the only one in the file. rule: None = the metric's default.
        evaluator: who reads the answers; None = the benchmark's own.

    Raises:
        UserError: an unknown name, a file that cannot be read, an evaluator that reads no answers.
    """
    entry = registry.entry("benchmarks", benchmark)
    offer = _reading(catalog, evaluator or _evaluator_of(entry.data, entry.name))
    read: AnswersReader = catalog.load(reader_of(offer))
    answers = read(AnswersJob(path=path, benchmark=entry, source=source))
    names = [field.name for field in attrs.fields(offer.record.options) if info(field).entry == "benchmarks"]
    built = scoring_evaluator(offer, dict.fromkeys(names, entry.name), catalog)
    summary = with_zeros(rescore(built, answers.table, rule))
    return AnswersScore(benchmark=entry.name, summary=summary, answers=answers)


def _evaluator_of(data: Mapping[str, Any], benchmark: str) -> str:
    name = data.get("evaluator")
    if not isinstance(name, str):
        raise UserError(f"benchmark '{benchmark}' does not say which evaluator is its own; name one with --evaluator")
    return name


def _reading(catalog: Catalog, name: str) -> Offer:
    offer = catalog.find("evaluator", name)
    if not _reads(offer):
        others = ", ".join(one.name for one in catalog.offers("evaluator") if _reads(one))
        raise UserError(f"evaluator '{name}' reads no files of answers; those that do: {others or 'none'}")
    return offer


def _reads(offer: Offer) -> bool:
    return isinstance(offer.record, EvaluatorRecord) and offer.record.reader is not None

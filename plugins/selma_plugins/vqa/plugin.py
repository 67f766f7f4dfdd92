"""Evaluators that ask a vision-language model for probabilities or preferences."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import EvaluatorRecord
from selma_plugins.vqa.options import (
    CompBenchOptions,
    GenEval2Options,
    LlmJudgeOptions,
    SemanticAccuracyOptions,
    VqaScoreOptions,
)


@hookimpl
def selma_evaluators() -> Iterator[EvaluatorRecord]:
    """Yields `vqascore`, `geneval2`, `t2i_compbench`, `semantic_accuracy`, `llm_judge`."""
    yield EvaluatorRecord(
        name="vqascore",
        summary="probability that a vision-language model says yes to 'does this show <prompt>?'",
        factory="selma_plugins.vqa.vqascore:VqaScore",
        options=VqaScoreOptions,
        reference="Lin et al. 2024, VQAScore, arXiv 2404.01291",
    )
    yield EvaluatorRecord(
        name="geneval2",
        summary="GenEval 2: probability of the right answer to each question, arithmetic or geometric mean",
        factory="selma_plugins.vqa.geneval2:GenEval2",
        options=GenEval2Options,
        reference="GenEval 2 (Soft-TIFA), arXiv 2512.16853",
    )
    yield EvaluatorRecord(
        name="t2i_compbench",
        summary="T2I-CompBench's colour, shape and texture: is every noun phrase seen?",
        factory="selma_plugins.vqa.compbench:CompBench",
        options=CompBenchOptions,
        reference="Huang et al. 2023, T2I-CompBench, arXiv 2307.06350",
    )
    yield EvaluatorRecord(
        name="semantic_accuracy",
        summary="are the actions, colours and numbers seen that the prompt itself names? accuracy of each",
        factory="selma_plugins.vqa.accuracy:SemanticAccuracy",
        options=SemanticAccuracyOptions,
        reference="after the protocol of SUR-adapter, arXiv 2305.05189",
    )
    yield EvaluatorRecord(
        name="llm_judge",
        summary="which of two images of a prompt is better, asked in both orders; win rate",
        factory="selma_plugins.vqa.llm_judge:LlmJudge",
        options=LlmJudgeOptions,
        reference="Zheng et al. 2023, position bias of judges, arXiv 2306.05685",
    )

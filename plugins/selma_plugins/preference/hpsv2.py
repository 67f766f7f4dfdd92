"""HPSv2, versions 2.0 and 2.1: a CLIP-H that learnt human preference. Source: Wu et al. 2023, arXiv 2306.09341.

The versions are two metrics: their values must never meet in one comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs

from selma_core.data import Entry, MetricInfo
from selma_core.errors import ModelError
from selma_core.protocols import Context
from selma_plugins.preference.evaluator import PreferenceEvaluator, Rule

if TYPE_CHECKING:
    from selma_plugins.preference.scorer import Scorer


class Hps20(PreferenceEvaluator):
    """`score` = the cosine; the authors print it plain (`score()`) or times 100 (`evaluate()`)."""

    metric: ClassVar = MetricInfo(
        name="hpsv2",
        version="2.0",
        range=(-100.0, 100.0),
        scale="x100: 100 x cosine, about 20 to 35; cosine: without the factor",
        max_text_tokens=77,
    )
    rules: ClassVar = {"cosine": Rule(), "x100": Rule(100.0)}

    def load(self, context: Context) -> Scorer:
        """The authors' open_clip checkpoint, or a CLIP folder in transformers' form."""
        from selma_plugins.preference.clip import load_clip, load_tokenizer
        from selma_plugins.preference.letterboxed import LetterboxedScorer

        entry = context.entry("models", self.options.model)
        self._check(entry)
        tokenizer = load_tokenizer(context.entry("models", self.options.tokenizer))
        return LetterboxedScorer(load_clip(context, entry), tokenizer, entry.pin, self.options.antialias)

    def _check(self, entry: Entry) -> None:
        stated = str(entry.data.get("version", self.metric.version))
        if stated != self.metric.version:
            raise ModelError(
                f"model '{entry.name}' is HPSv2 {stated}, evaluator '{self.metric.name}' is {self.metric.version}; "
                "values of the two are not comparable"
            )


class Hps21(Hps20):
    """Version 2.1."""

    metric: ClassVar = attrs.evolve(Hps20.metric, name="hpsv21", version="2.1")

"""PickScore: a CLIP-H that learnt which of two pictures people pick. Source: Kirstain et al. 2023, arXiv 2305.01569."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from selma_core.data import MetricInfo
from selma_core.protocols import Context
from selma_plugins.preference.evaluator import PreferenceEvaluator, Rule

if TYPE_CHECKING:
    from selma_plugins.preference.scorer import Scorer


class PickScore(PreferenceEvaluator):
    """`score` = exp(logit_scale) x cosine, beside it `cosine`."""

    metric: ClassVar = MetricInfo(
        name="pickscore",
        range=(-100.0, 100.0),
        scale="official: exp(logit_scale) x cosine, about 18 to 24; cosine: without the factor",
        max_text_tokens=77,
    )
    rules: ClassVar = {"official": Rule(), "cosine": Rule(component="cosine")}

    def load(self, context: Context) -> Scorer:
        """A CLIP model in transformers' form."""
        from selma_plugins.preference.clip import ScaledClipScorer, load_clip, load_tokenizer

        entry = context.entry("models", self.options.model)
        tokenizer = load_tokenizer(context.entry("models", self.options.tokenizer))
        return ScaledClipScorer(load_clip(context, entry), tokenizer, entry.pin)

"""ImageReward: a BLIP with a regression head. Source: Xu et al. 2023, arXiv 2304.05977."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from selma_core.data import MetricInfo
from selma_core.protocols import Context
from selma_plugins.preference.evaluator import PreferenceEvaluator

if TYPE_CHECKING:
    from selma_plugins.preference.scorer import Scorer


class ImageReward(PreferenceEvaluator):
    """`score` = the standardised reward, beside it `raw`, the head's own value. It reads 35 tokens of a prompt."""

    metric: ClassVar = MetricInfo(
        name="imagereward",
        range=(None, None),
        scale="standardised: mean 0 and deviation 1 over the authors' pictures, about -2 to 2",
        max_text_tokens=35,
    )

    def load(self, context: Context) -> Scorer:
        """The authors' checkpoint on transformers' BLIP classes."""
        from selma_plugins.preference.blip import load_blip
        from selma_plugins.preference.blip_scorer import BlipScorer, load_tokenizer

        entry = context.entry("models", self.options.model)
        tokenizer = load_tokenizer(context.entry("models", self.options.tokenizer))
        return BlipScorer(load_blip(context, entry), tokenizer, entry.pin)

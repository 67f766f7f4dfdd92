"""CLIPScore: the cosine of image and prompt under a CLIP. Source: Hessel et al. 2021, arXiv 2104.08718."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from selma_core.data import MetricInfo
from selma_core.protocols import Context
from selma_plugins.preference.evaluator import PreferenceEvaluator, Rule

if TYPE_CHECKING:
    from selma_plugins.preference.scorer import Scorer


class ClipScore(PreferenceEvaluator):
    """`score` = the cosine; the rules are the three conventions that tables follow."""

    metric: ClassVar = MetricInfo(
        name="clipscore",
        range=(-100.0, 100.0),
        scale="cosine: about 0.2 to 0.4; x100: 100 x cosine; clip_s: 2.5 x max(cosine, 0)",
        max_text_tokens=77,
    )
    rules: ClassVar = {"cosine": Rule(), "x100": Rule(100.0), "clip_s": Rule(2.5, floor=0.0)}

    def load(self, context: Context) -> Scorer:
        """A CLIP model in transformers' form."""
        from selma_plugins.preference.clip import ClipScorer, load_clip, load_tokenizer

        entry = context.entry("models", self.options.model)
        tokens = context.entry("models", self.options.tokenizer) if self.options.tokenizer else entry
        return ClipScorer(load_clip(context, entry), load_tokenizer(tokens), entry.pin)

    def texts(self, spec: Mapping[str, Any]) -> list[str]:
        """The prompt after the prefix."""
        return [self.options.prefix + str(spec["text"])]

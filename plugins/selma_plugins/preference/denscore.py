"""Denscore: the mean of an image's cosines with each sentence of a long prompt. Source: LongAlign, arXiv 2410.11817."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from selma_core.data import MetricInfo, Prompt
from selma_core.protocols import Context
from selma_core.rewards import text_spec
from selma_plugins.preference.evaluator import PreferenceEvaluator, Rule
from selma_plugins.preference.sentences import reference_texts, split

if TYPE_CHECKING:
    from selma_plugins.preference.scorer import Scorer


class Denscore(PreferenceEvaluator):
    """`score` = mean of the sentences' cosines; with `reweight` below 1, of what the mean text direction leaves.

    A spec is `{text, groups, sentences}` and, when reweighted, `{reweight, direction}`: the direction is that of fixed
    reference texts, not of the batch, so that a score does not depend on its neighbours.
    """

    metric: ClassVar = MetricInfo(
        name="denscore",
        range=(-100.0, 100.0),
        scale="official: mean cosine of the sentences; x100: 100 x that, as published tables print it",
        max_text_tokens=77,
    )
    rules: ClassVar = {"official": Rule(), "x100": Rule(100.0)}

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._direction: str | None = None

    def load(self, context: Context) -> Scorer:
        """A CLIP model in transformers' form."""
        from selma_plugins.preference.clip import load_clip, load_tokenizer
        from selma_plugins.preference.dense import DenseScorer

        entry = context.entry("models", self.options.model)
        tokenizer = load_tokenizer(context.entry("models", self.options.tokenizer))
        scorer = DenseScorer(load_clip(context, entry), tokenizer, entry.pin)
        if self.options.reweight < 1 and self._direction is None:
            name = self.options.reference
            path = context.entry("files", name).path if name else None
            self._direction = scorer.direction(reference_texts(path))
        return scorer

    def spec(self, prompt: Prompt, scorer: Scorer) -> dict[str, Any]:
        """The sentences, and the direction where one is needed."""
        spec = {**text_spec(prompt), "sentences": split(prompt.text, self.options.split)}
        if self._direction is not None:
            spec |= {"reweight": self.options.reweight, "direction": self._direction}
        return spec

    def texts(self, spec: Mapping[str, Any]) -> list[str]:
        """The sentences: each is cut by itself."""
        return list(spec["sentences"])

"""How alike two texts are: the cosine under a CLIP's text tower, a sentence encoder, or plain word counts."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from selma_core.protocols import Context
from selma_plugins.evaluation.rewards.options import CaptionRewardOptions

if TYPE_CHECKING:
    from selma_plugins.preference.clip import ClipScorer
    from selma_plugins.tifa.embedding import SentenceEncoder

_WORD = re.compile(r"\w+")


class TextSimilarity(Protocol):
    """Attributes: limit = tokens read of a text, None when all."""

    limit: int | None

    def cosine(self, one: str, other: str) -> float:
        """In [-1, 1]."""

    def cut(self, text: str) -> bool:
        """Whether it is too long to be read whole; then it is truncated, not refused."""


def make_similarity(options: CaptionRewardOptions, context: Context) -> TextSimilarity:
    """The similarity that the options name, its model loaded.

    Raises:
        ModelError: the model cannot be had or read.
    """
    if options.similarity == "words":
        return WordCounts()
    if options.similarity == "sentence":
        from selma_plugins.tifa.embedding import SentenceEncoder

        return SentenceCosine(SentenceEncoder(options.model, context))
    from selma_plugins.preference.clip import ClipScorer, load_clip, load_tokenizer

    entry = context.entry("models", options.model)
    tokens = context.entry("models", options.tokenizer) if options.tokenizer else entry
    return ClipCosine(ClipScorer(load_clip(context, entry), load_tokenizer(tokens), entry.pin))


class ClipCosine:
    """The text tower of a CLIP; each text is encoded once."""

    def __init__(self, scorer: ClipScorer) -> None:
        self._scorer = scorer
        self.limit: int | None = scorer.limit
        self._known: dict[str, list[float]] = {}

    def cosine(self, one: str, other: str) -> float:
        """Of the projected, normalised text features."""
        first, second = self._feature(one), self._feature(other)
        return _bounded(sum(a * b for a, b in zip(first, second, strict=True)))

    def cut(self, text: str) -> bool:
        """Above the tower's positions."""
        return self._scorer.count([text])[0] > self._scorer.limit

    def _feature(self, text: str) -> list[float]:
        if text not in self._known:
            self._known[text] = self._scorer.features([text])[0].double().tolist()
        return self._known[text]


class SentenceCosine:
    """A sentence encoder, mean-pooled."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder
        self.limit: int | None = encoder.limit

    def cosine(self, one: str, other: str) -> float:
        """Of the unit vectors."""
        return _bounded(float(self._encoder.encode(one) @ self._encoder.encode(other)))

    def cut(self, text: str) -> bool:
        """Above the encoder's positions."""
        return self._encoder.count(text) > self._encoder.limit


class WordCounts:
    """The cosine of word counts: no model, for worlds of few words and as a baseline."""

    limit: int | None = None

    def cosine(self, one: str, other: str) -> float:
        """0 where a text has no word."""
        first, second = (Counter(_WORD.findall(text.lower())) for text in (one, other))
        norms = math.prod(math.sqrt(sum(n * n for n in counts.values())) for counts in (first, second))
        return _bounded(sum(n * second[word] for word, n in first.items()) / norms) if norms else 0.0

    def cut(self, text: str) -> bool:
        """Never."""
        return False


def _bounded(value: float) -> float:
    return min(1.0, max(-1.0, value))

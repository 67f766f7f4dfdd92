"""ROUGE-L F1 of a text against a growing pool, equal to the definition of the `rouge_score` package.

Tokens are runs of [a-z0-9] in the lower-cased text, without stemming. With L the length of the longest common
subsequence of texts of m and n tokens, precision L/m and recall L/n give F1 = 2L / (m + n). (Lin 2004)
"""

from __future__ import annotations

import re

import attrs
import numpy as np
from rapidfuzz.distance import LCSseq

_TOKEN = re.compile("[a-z0-9]+")
_FIRST_CODE = 0xE000  # each token becomes one character, which rapidfuzz compares fastest; a million fit


def tokens(text: str) -> list[str]:
    """The words that ROUGE sees."""
    return _TOKEN.findall(text.lower())


def rouge_l(first: str, second: str) -> float:
    """ROUGE-L F1 of two texts in [0, 1]; 0 when one of them has no token."""
    a, b = tokens(first), tokens(second)
    return 2 * int(LCSseq.similarity(a, b)) / (len(a) + len(b)) if a and b else 0.0


@attrs.frozen
class Nearest:
    """The text of a pool that is most like a candidate, and its ROUGE-L F1."""

    text: str
    score: float


class RougePool:
    """Texts to compare candidates with.

    The overlap of two bags of words bounds their common subsequence from above; it is computed for the whole pool at
    once, and only texts whose bound is above the wanted score are aligned.
    """

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._texts: list[str] = []
        self._codes: list[str] = []
        self._lengths = np.zeros(64, dtype=np.int64)
        self._counts = np.zeros((256, 64), dtype=np.uint8)  # [token, text]; a count above 255 only widens the bound

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, text: str) -> None:
        """Adds a text."""
        ids = [self._ids.setdefault(token, len(self._ids)) for token in tokens(text)]
        column = len(self._texts)
        self._grow(len(self._ids), column + 1)
        self._texts.append(text)
        self._codes.append("".join(chr(_FIRST_CODE + i) for i in ids))
        self._lengths[column] = len(ids)
        unique, counts = np.unique(np.array(ids, dtype=np.int64), return_counts=True)
        self._counts[unique, column] = np.minimum(counts, 255)

    def nearest(self, text: str, above: float) -> Nearest | None:
        """The most similar text whose score is above `above`; None when there is none."""
        words = tokens(text)
        if not words or not self._texts:
            return None
        total = self._lengths[: len(self)] + len(words)
        bound = 2 * self._overlap(words) / total
        candidates = np.flatnonzero(bound > above)
        code = self._encode(words)
        best: Nearest | None = None
        for i in candidates[np.argsort(-bound[candidates], kind="stable")].tolist():
            least = best.score if best else above
            if bound[i] <= least:
                break
            score = 2 * int(LCSseq.similarity(code, self._codes[i])) / int(total[i])
            if score > least:
                best = Nearest(self._texts[i], score)
        return best

    def _overlap(self, words: list[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """[pool] the size of the common bag of words."""
        known = [self._ids[word] for word in words if word in self._ids]
        unique, counts = np.unique(np.array(known, dtype=np.int64), return_counts=True)
        rows = self._counts[unique, : len(self)].astype(np.int64)
        rows[rows == 255] = np.iinfo(np.int64).max
        found: np.ndarray[tuple[int], np.dtype[np.int64]] = np.minimum(rows, counts[:, None]).sum(axis=0)
        return found

    def _encode(self, words: list[str]) -> str:
        """Known words as in the pool, others as characters that no pool text holds."""
        new: dict[str, int] = {}
        size = len(self._ids)
        return "".join(chr(_FIRST_CODE + self._ids.get(w, size + new.setdefault(w, len(new)))) for w in words)

    def _grow(self, vocabulary: int, texts: int) -> None:
        rows, columns = self._counts.shape
        if vocabulary <= rows and texts <= columns:
            return
        rows, columns = max(rows, 2 * vocabulary), max(columns, 2 * texts)
        counts = np.zeros((rows, columns), dtype=np.uint8)
        counts[: self._counts.shape[0], : self._counts.shape[1]] = self._counts
        lengths = np.zeros(columns, dtype=np.int64)
        lengths[: len(self._lengths)] = self._lengths
        self._counts, self._lengths = counts, lengths

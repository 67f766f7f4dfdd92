"""ROUGE-L equal to its definition."""

from __future__ import annotations

import importlib.util
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.prompts.rouge import RougePool, rouge_l, tokens

WORDS = ["a", "red", "Blue", "circle", "square", "on", "the", "left", "of", "two", "3d", "cat's", "sky-high", "..", "é"]
TEXT = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)


def naive_lcs(a: list[str], b: list[str]) -> int:
    """The textbook table."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def naive(first: str, second: str) -> float:
    """Precision and recall of the common subsequence, and their harmonic mean."""
    a, b = tokens(first), tokens(second)
    if not a or not b:
        return 0.0
    common = naive_lcs(a, b)
    precision, recall = common / len(a), common / len(b)
    return 2 * precision * recall / (precision + recall) if common else 0.0


def candidates(n: int, seed: int = 0) -> list[str]:
    rng = Random(seed)
    return [" ".join(rng.choices(WORDS[:10], k=rng.randint(1, 9))) for _ in range(n)]


def test_defect_06_accepts_and_rejects_as_a_naive_reference() -> None:
    pool, kept, decisions = RougePool(), [], []
    for text in candidates(150):
        reference = max((naive(text, other) for other in kept), default=0.0) > 0.8 + 1e-9
        near = pool.nearest(text, 0.8)
        decisions.append((near is not None, reference))
        if near is None:
            pool.add(text)
            kept.append(text)
    assert all(ours == reference for ours, reference in decisions)
    assert 50 < len(kept) < 140  # both verdicts occurred often


def test_defect_06_exactly_the_limit_passes_above_is_rejected() -> None:
    pool = RougePool()
    pool.add("a b c d e")
    assert rouge_l("a b c d e", "a b c d x") == 0.8
    assert pool.nearest("a b c d x", 0.8) is None
    near = pool.nearest("a b c d e f", 0.8)
    assert near is not None
    assert near.score == pytest.approx(10 / 11)


@given(TEXT, TEXT)
def test_score_is_the_definition(first: str, second: str) -> None:
    assert rouge_l(first, second) == pytest.approx(naive(first, second))


@given(st.lists(TEXT, max_size=12), TEXT, st.sampled_from([0.0, 0.3, 0.5, 0.8, 0.99]))
def test_nearest_is_the_maximum_above_the_limit(texts: list[str], text: str, above: float) -> None:
    pool = RougePool()
    for other in texts:
        pool.add(other)
    best = max((rouge_l(text, other) for other in texts), default=0.0)
    near = pool.nearest(text, above)
    if best > above:
        assert near is not None
        assert near.score == pytest.approx(best)
        assert rouge_l(text, near.text) == pytest.approx(best)
    else:
        assert near is None


def test_a_pool_grows_past_its_first_size() -> None:
    pool = RougePool()
    texts = [f"w{i} w{i + 1} w{i + 2} w{i}" for i in range(400)]
    for text in texts:
        pool.add(text)
    assert len(pool) == 400
    assert all((near := pool.nearest(text, 0.9)) is not None and near.text == text for text in texts)


def test_a_word_more_often_than_a_byte_holds() -> None:
    pool = RougePool()
    pool.add("a " * 300)
    near = pool.nearest("a " * 299, 0.9)
    assert near is not None
    assert near.score == pytest.approx(598 / 599)


@pytest.mark.skipif(importlib.util.find_spec("rouge_score") is None, reason="the rouge_score package is not installed")
def test_equals_the_rouge_score_package() -> None:
    from rouge_score import rouge_scorer

    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    texts = [*candidates(60, 1), "Ünïcode déjà-vu, 3 cats!", "UPPER case_with_underscore", ""]
    for first, second in zip(texts, texts[1:] + texts[:1], strict=True):
        assert rouge_l(first, second) == pytest.approx(scorer.score(first, second)["rougeL"].fmeasure)

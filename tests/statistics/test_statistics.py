"""Intervals, paired comparisons, multiplicity: against closed forms, scipy and each other."""

from __future__ import annotations

import math
import time
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from selma_core.statistics import bootstrap_mean, holm, paired

UNIT = st.floats(0, 1, allow_nan=False)
FEW = 500


def keyed(values: list[float]) -> dict[str, float]:
    return {f"p{i}": value for i, value in enumerate(values)}


@given(st.lists(UNIT, min_size=1, max_size=30), st.integers(0, 5))
@settings(deadline=None, max_examples=50)
def test_interval_holds_the_mean_and_stays_in_range(values: list[float], seed: int) -> None:
    found = bootstrap_mean(values, seed=seed, resamples=FEW)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    assert found.mean == pytest.approx(np.mean(values))
    if len(values) > 4:
        assert found.low - 1e-9 <= found.mean <= found.high + 1e-9


def test_interval_is_near_the_normal_one_for_many_prompts() -> None:
    values = np.random.default_rng(1).beta(2, 1, size=1000)
    found = bootstrap_mean(values.tolist(), seed=0)
    half = 1.96 * values.std(ddof=1) / math.sqrt(1000)
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.001)


def test_coverage_of_the_interval() -> None:
    """Of 200 samples of 60 prompts, about 95 % of the intervals hold the truth."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        found = bootstrap_mean(rng.binomial(1, 0.7, 60).astype(float).tolist(), seed=0, resamples=FEW)
        hits += found.low <= 0.7 <= found.high
    assert 178 <= hits <= 199


def test_same_seed_same_interval() -> None:
    values = np.random.default_rng(0).random(50).tolist()
    assert bootstrap_mean(values, seed=3) == bootstrap_mean(values, seed=3)
    assert bootstrap_mean(values, seed=3) != bootstrap_mean(values, seed=4)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = np.random.default_rng(0).random((2, 50)).tolist()
    whole = bootstrap_mean(a, seed=0), paired(keyed(a), keyed(b), seed=0)
    monkeypatch.setattr("selma_core.statistics.resampling._CHUNK_CELLS", 1234)
    assert (bootstrap_mean(a, seed=0), paired(keyed(a), keyed(b), seed=0)) == whole


def test_weights_are_those_of_a_ratio() -> None:
    found = bootstrap_mean([1.0, 0.0], seed=0, weights=[3.0, 1.0])
    assert (found.mean, found.low, found.high) == (0.75, 0.0, 1.0)


@given(st.lists(UNIT, min_size=2, max_size=20))
@settings(deadline=None, max_examples=30)
def test_equal_weights_are_no_weights(values: list[float]) -> None:
    plain = bootstrap_mean(values, seed=0, resamples=FEW)
    weighted = bootstrap_mean(values, seed=0, resamples=FEW, weights=[2.0] * len(values))
    assert (weighted.mean, weighted.low, weighted.high) == pytest.approx((plain.mean, plain.low, plain.high))


@given(st.lists(st.tuples(UNIT, UNIT), min_size=2, max_size=25))
@settings(deadline=None, max_examples=50)
def test_swapping_the_variants_mirrors_everything(pairs: list[tuple[float, float]]) -> None:
    a, b = keyed([x for x, _ in pairs]), keyed([y for _, y in pairs])
    there, back = paired(a, b, seed=0, resamples=FEW), paired(b, a, seed=0, resamples=FEW)
    assert (there.difference, there.low, there.high) == pytest.approx((-back.difference, -back.high, -back.low))
    assert (there.wins, there.ties, there.losses) == (back.losses, back.ties, back.wins)
    assert there.wins + there.ties + there.losses == there.n == len(pairs)
    assert there.p == back.p
    assert 0 < there.p <= 1


def test_standard_error_and_mde() -> None:
    found = paired(keyed([1.0, 0.5, 0.25]), keyed([0.0, 0.5, 0.5]), seed=0)
    expected = float(np.std([1.0, 0.0, -0.25], ddof=1)) / math.sqrt(3)
    assert found.se == pytest.approx(expected)
    assert found.mde == pytest.approx(2.8 * expected)


def test_only_shared_prompts_count() -> None:
    found = paired({"a": 1.0, "b": 0.0, "c": 1.0}, {"b": 1.0, "c": 1.0, "d": 0.0}, seed=0)
    assert (found.n, found.difference) == (2, -0.5)


def test_few_prompts_get_the_exact_p() -> None:
    d = [0.5, 0.25, 0.25, -0.125, 0.75, 0.0]
    signs = [abs(sum(s * x for s, x in zip(pattern, d, strict=True))) for pattern in product((1, -1), repeat=6)]
    expected = sum(value >= abs(sum(d)) - 1e-12 for value in signs) / 64
    assert paired(keyed(d), keyed([0.0] * 6), seed=0).p == pytest.approx(expected)


def test_many_prompts_agree_with_scipy() -> None:
    d = np.random.default_rng(5).normal(0.08, 0.5, 120)
    found = paired(keyed(d.tolist()), keyed([0.0] * 120), seed=0).p
    expected = stats.permutation_test(
        (d,), np.mean, permutation_type="samples", n_resamples=10_000, rng=np.random.default_rng(0)
    ).pvalue
    assert found == pytest.approx(expected, abs=0.015)


def test_p_is_uniform_without_an_effect() -> None:
    rng = np.random.default_rng(0)
    ps = [paired(keyed(rng.normal(size=30).tolist()), keyed([0.0] * 30), seed=i, resamples=FEW).p for i in range(200)]
    assert 0.01 <= np.mean([p < 0.05 for p in ps]) <= 0.1


def test_equal_variants() -> None:
    same = keyed([0.5] * 20)
    found = paired(same, same, seed=0)
    assert (found.difference, found.low, found.high, found.p, found.ties) == (0.0, 0.0, 0.0, 1.0, 20)


def test_one_prompt_has_no_standard_error() -> None:
    found = paired({"a": 1.0}, {"a": 0.0}, seed=0)
    assert (found.se, found.mde, found.p, found.difference) == (None, None, 1.0, 1.0)


@pytest.mark.parametrize(("a", "b"), [({}, {}), ({"a": 1.0}, {"b": 1.0})])
def test_nothing_in_common_is_an_error(a: dict[str, float], b: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="no prompts"):
        paired(a, b, seed=0)


@pytest.mark.parametrize(
    ("values", "weights", "message"),
    [([], None, "no prompts"), ([1.0, float("nan")], None, "not finite"), ([1.0, 0.0], [1.0, 0.0], "above 0")],
)
def test_bad_values_are_refused(values: list[float], weights: list[float] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap_mean(values, seed=0, weights=weights)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(UNIT, min_size=1, max_size=12))
def test_holm_is_monotone_and_between_raw_and_bonferroni(ps: list[float]) -> None:
    adjusted = holm(ps)
    order = sorted(range(len(ps)), key=ps.__getitem__)
    assert [adjusted[i] for i in order] == sorted(adjusted)
    assert all(p <= a <= min(1.0, len(ps) * p) + 1e-12 for p, a in zip(ps, adjusted, strict=True))


def test_a_thousand_prompts_take_about_a_second() -> None:
    a, b = np.random.default_rng(0).random((2, 1060)).tolist()
    start = time.perf_counter()
    paired(keyed(a), keyed(b), seed=0)
    assert time.perf_counter() - start < 10

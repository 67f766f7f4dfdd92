"""`svd`: the best delta of its rank by every route, and decompositions that further weights use again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from selma_plugins.merging import cache
from selma_plugins.merging.grams import Grams
from selma_plugins.merging.spectra import gram, thin
from selma_plugins.merging.stacked import Stack

from selma_core.merging.layer import merge_layer
from selma_core.protocols import Factors, LayerJob
from tests.merging.cases import build
from tests.merging.claims import Draw, delta, job, merged, total


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def decaying(shape: tuple[int, int], rank: int, count: int, low: float = 0.01) -> list[Factors]:
    """Experts as trained ones are: the columns of B fall from 1 to `low`."""
    parts = Draw(7, shape, (rank,) * count).experts()
    return [Factors(up=part.up * torch.linspace(1, low, rank), down=part.down) for part in parts]


def excess(layer: LayerJob, k: int, **options: object) -> float:
    """Error over the error of the best delta of rank k."""
    found = merged(build("svd", k=k, **options), layer)
    experts = [part for part in layer.experts if part is not None]
    wanted = total(experts, layer.weights)
    return float((found - wanted).norm() / torch.linalg.svdvals(wanted)[k:].norm())


@pytest.mark.parametrize("route", ["auto", "gram_core", "qr", "thin", "gram"])
@pytest.mark.parametrize("shape", [(60, 50), (50, 60), (24, 24), (24, 40), (40, 24)], ids=str)
def test_exact_routes_are_optimal(route: str, shape: tuple[int, int]) -> None:
    layer = job(decaying(shape, 8, 4), [0.4, -0.2, 0.3, 0.1])
    assert excess(layer, 8, route=route) <= 1.0001


@pytest.mark.parametrize("shape", [(200, 150), (90, 150), (100, 60)], ids=str)
def test_the_randomized_route_is_three_percent_off_at_most(shape: tuple[int, int]) -> None:
    layer = job(decaying(shape, 24, 4), [0.25] * 4)
    assert 1.0 < excess(layer, 16, route="randomized") <= 1.03


def test_the_randomized_route_is_exact_where_it_would_see_everything() -> None:
    assert excess(job(decaying((30, 25), 4, 4), [0.25] * 4), 4, route="randomized") <= 1.0001


def test_the_randomized_route_does_not_depend_on_the_order_of_experts() -> None:
    experts = decaying((90, 80), 12, 4)
    one = merged(build("svd", k=8, route="randomized"), job(experts, [0.1, 0.2, 0.3, 0.4]))
    other = merged(build("svd", k=8, route="randomized"), job(experts[::-1], [0.4, 0.3, 0.2, 0.1], ids="dcba"))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_factors_are_balanced() -> None:
    found = merge_layer(build("svd", k=5), job(decaying((30, 40), 6, 3), [1 / 3] * 3))
    assert found is not None
    up, down = found.factors.up, found.factors.down
    torch.testing.assert_close(up.norm(dim=0), down.norm(dim=1), rtol=1e-4, atol=1e-6)
    grams = up.T @ up, down @ down.T
    for each in grams:
        torch.testing.assert_close(each, torch.diag(each.diagonal()), rtol=0, atol=1e-4)


def test_energy_is_the_square_of_the_norm_ratio() -> None:
    """What a cut keeps of |D|^2, from the card."""
    experts = decaying((30, 40), 6, 3)
    found = merge_layer(build("svd", by="sv_fro", k=0.8**0.5), job(experts, [1 / 3] * 3))
    assert found is not None
    s = torch.linalg.svdvals(total(experts, [1 / 3] * 3)).square()
    kept = found.factors.down.shape[0]
    assert found.norm_ratio**2 == pytest.approx(float(s[:kept].sum() / s.sum()), rel=1e-5)
    assert float(s[: kept - 1].sum() / s.sum()) < 0.8 <= found.norm_ratio**2 + 1e-6


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_gram_and_the_svd_routine_agree(seed: int, rows: int, columns: int, rank: int) -> None:
    found = delta(Draw(seed, (rows, columns), (rank,)).experts()[0]).float()
    one, other = gram(found), thin(found)
    assert len(one.s) == len(other.s) == min(rows, columns, rank)
    torch.testing.assert_close(one.s, other.s, rtol=1e-4, atol=1e-5 * float(other.s[0]))
    for each in (one, other):
        torch.testing.assert_close(delta(each.cut(9)).float(), found, rtol=1e-4, atol=1e-5 * float(other.s[0]))


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from([(12, 9), (4, 9), (9, 4), (3, 3)]))
def test_a_stack_is_its_experts(seed: int, shape: tuple[int, int]) -> None:
    experts = Draw(seed, shape, (2, 1, 3)).experts(torch.float64)
    stack = Stack.of(experts)
    core = stack.core([0.5, -1.0, 2.0])
    assert core.shape == (min(shape[0], 6), min(shape[1], 6))
    found = stack.lift(Factors(up=core, down=torch.eye(core.shape[1], dtype=torch.float64)))
    torch.testing.assert_close(delta(found), total(experts, [0.5, -1.0, 2.0]), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("route", "kind"), [("qr", Stack), ("auto", Grams)])
def test_further_weights_use_the_decomposition_again(
    route: str, kind: type[Stack | Grams], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from tensors read again, and from another strategy object; the bytes are those without a cache."""
    calls: list[int] = []
    of = kind.of
    monkeypatch.setattr(kind, "of", lambda parts: calls.append(1) or of(parts))  # type: ignore[func-returns-value]
    weights = ([0.5, 0.5], [0.9, -0.3])
    plain = [merged(build("svd", k=3, route=route), job(decaying((20, 30), 4, 2), w)) for w in weights]
    assert len(calls) == 2
    again = [merged(build("svd", k=3, route=route, cache_mb=1), job(decaying((20, 30), 4, 2), w)) for w in weights]
    assert len(calls) == 3
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))
    merged(build("svd", k=3, route=route, cache_mb=1), job(decaying((20, 30), 4, 2, low=0.02), weights[0]))
    assert len(calls) == 4


def test_further_ranks_use_the_same_decomposition(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    eigh = torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda matrix: calls.append(1) or eigh(matrix))  # type: ignore[func-returns-value]
    each = job(decaying((20, 30), 4, 2), [0.5, 0.5])
    found = [merged(build("svd", k=k, cache_mb=1), each) for k in (2, 5)]
    assert len(calls) == 1
    assert torch.equal(found[0], merged(build("svd", k=2), each))
    assert torch.equal(found[1], merged(build("svd", k=5), each))


def test_experts_whose_rows_depend_on_one_another_go_the_way_of_bases() -> None:
    """A shared A (SELMA's experts start from one), duplicates, a sum that cancels: Gram matrices would lose digits."""
    first, second = decaying((20, 30), 4, 2)
    assert Grams.of([first, second]) is not None
    assert Grams.of([first, first]) is None
    assert Grams.of([first, Factors(up=second.up, down=first.down * (1 + 1e-7))]) is None
    near = Factors(up=first.up, down=first.down + 1e-3 * second.down)
    grams = Grams.of([first, near])
    assert grams is not None
    assert grams.inside([1.0, 1.0]) is not None
    for pair, weights in (([first, first], [0.5, 0.5]), ([first, near], [1.0, -1.0])):
        found = merged(build("svd", k=8), job(pair, weights))
        torch.testing.assert_close(found, total(pair, weights), rtol=1e-3, atol=1e-5)


def test_the_cache_stays_within_its_size() -> None:
    for columns in (100, 200, 300, 400):
        merged(build("svd", cache_mb=1), job(decaying((1000, columns), 40, 2), [0.5, 0.5]))
    assert 0 < cache.held() <= 2**20

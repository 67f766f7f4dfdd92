"""What the driver does for every strategy: block weights, the norm of the sum, scale, re-compression."""

from __future__ import annotations

import attrs
import pytest
import torch
from selma_plugins.merging import claims

from selma_core.merging.layer import merge_layer
from selma_core.protocols import Factors, LayerJob
from selma_core.testing import check_merge_strategy
from tests.merging.cases import CASES, RECORDS, Case, build
from tests.merging.claims import Draw, job, merged, total

NAMES = [name for name in RECORDS if name != "model_stock"]  # nearly orthogonal experts: it gives zero
DRAW = Draw(1, (12, 10), (3, 2))


def layer(name: str = "unet.mid_block.attentions.0.to_q") -> LayerJob:
    return attrs.evolve(job(DRAW.experts(), [0.6, 0.4]), name=name)


@pytest.mark.parametrize("name", NAMES)
def test_match_norm_gives_the_norm_of_the_sum(name: str) -> None:
    found = merged(build(name, match_norm="linear"), layer())
    assert float(found.norm()) == pytest.approx(float(total(DRAW.experts(), [0.6, 0.4]).norm()), rel=1e-5)


def test_match_norm_of_aligned_experts_undoes_model_stock() -> None:
    one = DRAW.experts()[0]
    near = Factors(up=one.up + 0.5 * torch.ones_like(one.up), down=one.down)
    plain, matched = (
        merged(build("model_stock", match_norm=n), job([one, near], [0.5, 0.5])) for n in ("none", "linear")
    )
    wanted = total([one, near], [0.5, 0.5])
    assert float(plain.norm()) < 0.999 * float(wanted.norm())
    torch.testing.assert_close(matched, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", RECORDS)
def test_block_weights_multiply_the_weights(name: str) -> None:
    factors = [[1.0] * 26, [1.0] * 26]
    factors[0][13], factors[1][13] = 0.5, -2.0  # MID
    blocked = merged(build(name, block_weights=factors), layer())
    torch.testing.assert_close(blocked, merged(build(name), attrs.evolve(layer(), weights=(0.3, -0.8))))
    other = layer("unet.down_blocks.0.attentions.0.to_q")
    torch.testing.assert_close(merged(build(name, block_weights=factors), other), merged(build(name), other))


@pytest.mark.parametrize("name", RECORDS)
def test_scale_multiplies_the_result(name: str) -> None:
    """Also where a common factor on the weights is lost."""
    torch.testing.assert_close(merged(build(name, scale=-0.5), layer()), -0.5 * merged(build(name), layer()))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_norm_ratio_is_of_the_sum(case: Case) -> None:
    weights = (0.5, 0.5) if case.equal else (0.6, 0.4)
    found = merge_layer(case.strategy, attrs.evolve(layer(), weights=weights))
    assert found is not None
    own = merged(case.strategy, attrs.evolve(layer(), weights=weights))
    wanted = float(own.norm() / total(DRAW.experts(), weights).norm())
    assert found.norm_ratio == pytest.approx(wanted, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", RECORDS)
def test_convolutions_are_merged_as_matrices_and_restored(name: str) -> None:
    flat = layer()
    shaped = [
        Factors(up=part.up[..., None, None], down=part.down.reshape(len(part.down), 5, 2, 1))
        for part in flat.experts
        if part is not None
    ]
    for rank in (None, 3):
        strategy = build(name, rank=rank)
        found = merge_layer(strategy, attrs.evolve(flat, experts=tuple(shaped)))
        assert found is not None
        assert found.factors.up.shape[2:] == (1, 1)
        assert found.factors.down.shape[1:] == (5, 2, 1)
        made = found.factors.up.flatten(1).double() @ found.factors.down.flatten(1).double()
        torch.testing.assert_close(made, merged(strategy, flat))


@pytest.mark.parametrize("rank", range(1, 6))
@pytest.mark.parametrize("name", ["linear", "ties", "knots"])
def test_a_cut_to_a_rank_is_the_best_of_it(name: str, rank: int) -> None:
    """From factors, and from a dense delta."""
    full = merged(build(name), layer())
    cut = merge_layer(build(name, rank=rank), layer())
    assert cut is not None
    assert cut.factors.down.shape[0] <= rank
    s = torch.linalg.svdvals(full)
    error = (cut.factors.up.double() @ cut.factors.down.double() - full).norm()
    assert float(error) <= 1.0001 * float(s[rank:].norm()) + 1e-5 * float(full.norm())
    assert cut.retained == pytest.approx(float(s[:rank].square().sum() / s.square().sum()), rel=1e-5)


def test_a_cut_of_zero_is_zero() -> None:
    zero = Factors(up=torch.zeros(6, 3), down=torch.zeros(3, 5))
    assert not bool(merged(build("linear", rank=2), job([zero, zero], [0.5, 0.5])).any())


def test_released_is_linear_with_its_weights() -> None:
    """selma_released: 1/29 each for the id of 29 characters."""
    strategy = build("selma_released")
    found = merged(strategy, job(DRAW.experts(), strategy.weights(2, "")))
    torch.testing.assert_close(found, total(DRAW.experts(), [1 / 29] * 2), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in RECORDS if name != "slerp"])  # the kit merges three
def test_conformance(name: str) -> None:
    check_merge_strategy(lambda options: build(name), None, identity=claims.IDENTITY in build(name).claims)

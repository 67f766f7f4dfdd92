"""`param_mean`: the mean of A and of B apart, and when that is the mean of the deltas."""

from __future__ import annotations

import torch

from selma_core.protocols import Factors
from tests.merging.cases import build
from tests.merging.claims import Draw, delta, job, merged


def test_it_has_the_cross_terms() -> None:
    """B A = sum_ij w_i w_j B_i A_j, a lower rank padded with zeros."""
    experts, weights = Draw(1, (6, 5), (3, 2)).experts(), [0.7, -0.2]
    wanted = torch.zeros(6, 5, dtype=torch.float64)
    for one, w in zip(experts, weights, strict=True):
        for other, v in zip(experts, weights, strict=True):
            rank = min(one.up.shape[1], other.up.shape[1])
            wanted += w * v * delta(Factors(up=one.up[:, :rank], down=other.down[:rank]))
    torch.testing.assert_close(merged(build("param_mean"), job(experts, weights)), wanted, rtol=1e-5, atol=1e-5)


def test_twice_the_weights_are_four_times_the_delta() -> None:
    experts = Draw(1, (6, 5), (3, 3)).experts()
    one, two = (merged(build("param_mean"), job(experts, [w, w])) for w in (0.5, 1.0))
    torch.testing.assert_close(two, 4 * one)


def test_it_is_linear_where_all_a_are_equal() -> None:
    """The shared start of SELMA's experts: with A untouched both readings of the paper agree."""
    drawn = Draw(2, (6, 5), (3,) * 5).experts()
    experts = [Factors(up=part.up, down=drawn[0].down) for part in drawn]
    one, other = (merged(build(name), job(experts, [0.2] * 5)) for name in ("param_mean", "linear"))
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_independent_experts_shrink() -> None:
    """Theory: 1/sqrt(T) of the mean's norm for independent factors of equal rank."""
    ratios = []
    for seed in range(40):
        made = job(Draw(seed, (60, 50), (4,) * 5).experts(), (0.2,) * 5)
        ratios.append(float(merged(build("param_mean"), made).norm() / merged(build("linear"), made).norm()))
    assert abs(sum(ratios) / len(ratios) - 5**-0.5) < 0.05

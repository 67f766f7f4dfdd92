"""Cases small enough to compute by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from selma_core.errors import UserError
from selma_core.protocols import Factors
from tests.merging.cases import build
from tests.merging.claims import Draw, job, merged


def rows(*values: Sequence[float]) -> list[Factors]:
    """Experts whose delta is one row of these numbers."""
    return [Factors(up=torch.ones(1, 1), down=torch.tensor([list(row)])) for row in values]


def merge(name: str, experts: list[Factors], weights: Sequence[float], **options: object) -> list[float]:
    found = merged(build(name, **options), job(experts, weights))
    return [round(value, 5) for value in found.flatten().tolist()]


THREE = rows([4.0, -1.0, 2.0, 0.5], [1.0, 3.0, -2.0, 0.5], [-2.0, -1.0, -2.0, 1.0])


def test_ties_selma() -> None:
    """Weights 1/2, 1/4, 1/4; all entries. Votes: 2 + .25 - .5; -.5 + .75 - .25 = 0 -> +; 1 - .5 - .5 = 0 -> +; +."""
    found = merge("ties", THREE, [0.5, 0.25, 0.25], density=1.0)
    assert found == [3.0, 3.0, 2.0, round((0.25 + 0.125 + 0.25) / 1.0, 5)]


def test_ties_selma_trims_before_it_votes() -> None:
    """Half of four entries: 4, 2 of the first; 3, -2 of the second; -2, -2 of the third, by the value of its tie."""
    kept = rows([4.0, 0.0, 2.0, 0.0], [0.0, 3.0, -2.0, 0.0], [-2.0, 0.0, -2.0, 0.0])
    found = merge("ties", THREE, [1 / 3] * 3, density=0.5)
    assert found == merge("ties", kept, [1 / 3] * 3, density=1.0) == [4.0, 3.0, -2.0, 0.0]


def test_ties_selma_with_a_negative_weight() -> None:
    """A weight below 0 votes with the other sign; the divisor is the sum of |w|, so it stays positive."""
    assert merge("ties", rows([2.0, 2.0], [4.0, -1.0]), [0.5, -1.0], density=1.0) == [-4.0, 1.33333]


def test_ties_loses_a_common_factor() -> None:
    assert merge("ties", THREE, [3.0] * 3, density=1.0) == merge("ties", THREE, [0.1] * 3, density=1.0)


def test_ties_peft() -> None:
    """Unweighted votes 3, 1, -2, 2; w x of those that agree, by their number."""
    found = merge("ties", THREE, [0.5, 0.25, 0.25], density=1.0, variant="peft")
    assert found == [round((2 + 0.25) / 2, 5), 0.75, -0.5, round((0.25 + 0.125 + 0.25) / 3, 5)]


def test_ties_peft_by_frequency() -> None:
    """Signs vote: + + -, - + -, + - -, +++."""
    found = merge("ties", THREE, [0.5, 0.25, 0.25], density=1.0, variant="peft", vote="frequency")
    assert found == [1.125, -0.375, -0.5, round(0.625 / 3, 5)]


def test_ties_paper() -> None:
    """Plain mean of those that agree, times sum w; an even vote takes the majority's sign."""
    assert merge("ties", THREE, [1 / 3] * 3, density=1.0, variant="paper") == [2.5, 3.0, -2.0, round(2 / 3, 5)]
    even = rows([1.0, -2.0, -3.0], [-1.0, -2.0, -1.0])
    assert merge("ties", even, [0.5, 0.5], density=1.0, variant="paper") == [-1.0, -2.0, -2.0]
    assert merge("ties", even, [0.5, 0.5], density=1.0) == [1.0, -2.0, -2.0]


def test_ties_sd_mecha() -> None:
    """Signs vote by default, values on request; nobody agrees with an even vote."""
    assert merge("ties", THREE, [1 / 3] * 3, density=1.0, variant="sd-mecha") == [2.5, -1.0, -2.0, round(2 / 3, 5)]
    found = merge("ties", THREE, [1 / 3] * 3, density=1.0, variant="sd-mecha", vote="total")
    assert found == [2.5, 3.0, -2.0, round(2 / 3, 5)]
    assert merge("ties", rows([1.0, 2.0], [-5.0, 2.0]), [0.5] * 2, density=1.0, variant="sd-mecha") == [0.0, 2.0]


@pytest.mark.parametrize("variant", ["paper", "sd-mecha"])
def test_variants_without_weights_refuse_unequal_ones(variant: str) -> None:
    with pytest.raises(UserError, match=f"'{variant}' knows no weights per expert"):
        merge("ties", THREE, [0.5, 0.25, 0.25], variant=variant)


@pytest.mark.parametrize(("variant", "norm"), [("selma", 1.0), ("peft", 1 / 3), ("paper", 1.0), ("sd-mecha", 1.0)])
def test_equal_experts_keep_their_scale_but_for_peft(variant: str, norm: float) -> None:
    one = rows([3.0, -4.0])
    wanted = [round(value * norm, 5) for value in (3.0, -4.0)]
    assert merge("ties", one * 3, [1 / 3] * 3, density=1.0, variant=variant) == wanted


def test_magnitude_keeps_the_largest_and_all_that_tie_with_the_last() -> None:
    one = rows([1.0, -3.0, 2.0, 2.0, -2.0])
    assert merge("magnitude", one, [1.0], density=0.2) == [0.0, -3.0, 0.0, 0.0, 0.0]
    assert merge("magnitude", one, [1.0], density=0.4) == [0.0, -3.0, 2.0, 2.0, -2.0]
    assert merge("magnitude", one, [2.0], density=1.0) == [2.0, -6.0, 4.0, 4.0, -4.0]
    assert merge("magnitude", one, [1.0], density=0.1) == [0.0] * 5


def test_breadcrumbs_drops_both_ends() -> None:
    one = rows([1.0, -2.0, 3.0, -4.0, 5.0, 6.0, -7.0, 8.0, 9.0, 10.0])
    wanted = [0.0, 0.0, 0.0, 0.0, 5.0, 6.0, -7.0, 8.0, 0.0, 0.0]
    assert merge("breadcrumbs", one, [1.0], density=0.4, gamma=0.2) == wanted


def test_breadcrumbs_that_drops_none_at_the_top_drops_none() -> None:
    """int(0.01 * 5) = 0: the largest entry stays."""
    one = rows([1.0, -3.0, 2.0, 5.0, 4.0])
    assert merge("breadcrumbs", one, [1.0], density=0.4, gamma=0.01) == [0.0, 0.0, 0.0, 5.0, 4.0]


def test_dare_divides_what_it_keeps() -> None:
    one = rows([1.0] * 400)
    found = merge("dare", one, [1.0], density=0.25)
    assert set(found) == {0.0, 4.0}
    assert 60 < found.count(4.0) < 140


def test_della_keeps_by_rank_and_divides_by_its_probability() -> None:
    """Of three entries the ranks have p = 0.3, 0.5, 0.7."""
    row = [2.0, -1.0, 3.0]
    experts = [Factors(up=torch.ones(300, 1), down=torch.tensor([row]))]
    found = merged(build("della", density=0.5, eps=0.2), job(experts, [1.0]))
    for column, (value, p) in enumerate(zip(row, (0.5, 0.3, 0.7), strict=True)):
        kept = found[:, column][found[:, column] != 0]
        torch.testing.assert_close(kept, torch.full_like(kept, value / p), rtol=1e-6, atol=1e-6)
        assert abs(len(kept) / 300 - p) < 0.1


@pytest.mark.parametrize("name", ["dare", "della"])
def test_l1_keeps_the_sum_of_sizes_and_the_ratios(name: str) -> None:
    """As mergekit: the same mask, one factor for all that is kept."""
    row = [2.0, -1.0, 3.0, 0.5]
    experts = [Factors(up=torch.ones(50, 1), down=torch.tensor([row]))]
    plain, scaled = (merged(build(name, rescale=how), job(experts, [1.0])) for how in ("expectation", "l1"))
    assert torch.equal(plain == 0, scaled == 0)
    assert float(scaled.abs().sum()) == pytest.approx(50 * 6.5, rel=1e-5)
    factor = scaled[scaled != 0] / torch.tensor(row).expand(50, -1)[scaled != 0]
    torch.testing.assert_close(factor, factor[:1].expand_as(factor))
    assert float(factor[0]) > 1


def test_della_of_one_column_drops_by_density() -> None:
    found = merged(build("della"), job([Factors(up=torch.ones(200, 1), down=torch.ones(1, 1))], [1.0]))
    assert set(found.flatten().tolist()) == {0.0, 2.0}


def test_model_stock() -> None:
    """Cosine 1/2 of two experts: t = 2 (1/2) / (1 + 1/2) = 2/3."""
    experts = rows([1.0, 0.0], [0.5, 0.75**0.5])
    assert merge("model_stock", experts, [0.5, 0.5]) == [0.5, round(0.75**0.5 / 3, 5)]


def test_model_stock_clamps() -> None:
    assert merge("model_stock", rows([1.0, 0.0], [-1.0, 0.1]), [0.5, 0.5]) == [0.0, 0.0]
    assert merge("model_stock", rows([1.0, 0.0], [-1.0, 0.0]), [0.5, 0.5]) == [0.0, 0.0]
    assert merge("model_stock", rows([1.0, 0.0], [0.0, 1.0]), [0.5, 0.5]) == [0.0, 0.0]
    assert merge("model_stock", rows([1.0, 2.0], [2.0, 4.0]), [0.5, 0.5]) == [1.5, 3.0]
    assert merge("model_stock", rows([1.0, 2.0]), [1.0]) == [1.0, 2.0]


def test_model_stock_leaves_out_who_has_no_direction() -> None:
    """Two experts with cosine 1/2 and one without a delta: T = 2, and the weights stay 1/3."""
    experts = [*rows([1.0, 0.0], [0.5, 0.75**0.5]), Factors(up=torch.zeros(1, 1), down=torch.zeros(1, 2))]
    assert merge("model_stock", experts, [1 / 3] * 3) == [round(1 / 3, 5), round(0.75**0.5 * 2 / 9, 5)]


def test_slerp_stays_on_the_arc() -> None:
    assert merge("slerp", rows([1.0, 0.0], [0.0, 1.0]), [0.5, 0.5]) == [round(0.5**0.5, 5)] * 2
    third = merge("slerp", rows([1.0, 0.0], [0.0, 1.0]), [2.0, 1.0])
    assert third == [round(0.75**0.5, 5), 0.5]


def test_slerp_is_a_line_where_there_is_no_arc() -> None:
    assert merge("slerp", rows([1.0, 0.0], [3.0, 0.0]), [0.5, 0.5]) == [2.0, 0.0]
    assert merge("slerp", rows([1.0, 0.0], [-1.0, 0.0]), [0.25, 0.75]) == [-0.5, 0.0]
    assert merge("slerp", rows([1.0, 0.0], [0.0, 0.0]), [0.25, 0.75]) == [0.25, 0.0]


def test_slerp_refuses_what_it_cannot_merge() -> None:
    for count in (1, 3):
        with pytest.raises(UserError, match=f"exactly 2 experts, not {count}"):
            merge("slerp", rows(*[[1.0]] * count), [1.0] * count)
        with pytest.raises(UserError, match="exactly 2 experts"):
            build("slerp").weights(count, "")
    with pytest.raises(UserError, match="add up to 0"):
        merge("slerp", rows([1.0, 0.0], [0.0, 1.0]), [0.5, -0.5])
    assert merge("slerp", rows([1.0, 0.0], [0.0, 1.0]), [0.0, 0.0]) == [0.0, 0.0]


def test_iso_c_makes_the_singular_values_equal() -> None:
    """diag(3, 1) becomes 2 I; with a null space, by rank or by min(m, n)."""
    full = [Factors(up=torch.eye(2), down=torch.diag(torch.tensor([3.0, 1.0])))]
    assert merge("iso_c", full, [1.0]) == [2.0, 0.0, 0.0, 2.0]
    one = [Factors(up=torch.tensor([[1.0], [0.0]]), down=torch.tensor([[4.0, 0.0]]))]
    assert merge("iso_c", one, [1.0]) == [4.0, 0.0, 0.0, 0.0]
    assert merge("iso_c", one, [1.0], denominator="full") == [2.0, 0.0, 0.0, 0.0]


def test_tsv_of_orthogonal_experts_is_t_times_their_weighted_sum() -> None:
    """Nothing interferes: U and V are orthogonal already, and diag(T w S) remains."""
    experts = [Factors(up=torch.eye(4)[:, i : i + 1] * 2, down=torch.eye(5)[i : i + 1]) for i in range(2)]
    found = merged(build("tsv"), job(experts, [0.5, 0.25]))
    assert found.diagonal().tolist() == pytest.approx([2.0, 1.0, 0.0, 0.0], abs=1e-6)


@pytest.mark.parametrize("vote", ["total", "frequency"])
def test_ties_peft_is_what_peft_computes(vote: str) -> None:
    """On whole deltas, as its `ties_svd` does before the SVD."""
    from peft.utils.merge_utils import ties

    experts = Draw(3, (9, 8), (2, 3, 1)).experts()
    weights = torch.tensor([0.5, 0.25, 0.4])
    wanted = ties([part.up @ part.down for part in experts], weights, 0.4, majority_sign_method=vote)
    found = merged(build("ties", variant="peft", vote=vote, density=0.4), job(experts, weights.tolist()))
    torch.testing.assert_close(found.float(), wanted, rtol=1e-5, atol=1e-6)

"""The weights of a merge, and defect 2: the released script divides by the length of a string."""

from __future__ import annotations

import pytest
import torch
from selma_plugins.merging.linear import Linear
from selma_plugins.merging.options import ReleasedOptions
from selma_plugins.merging.param_mean import ParamMean
from selma_plugins.merging.released import Released

from selma_core.errors import UserError
from selma_core.merging.options import MergeOptions
from selma_core.protocols import Factors, LayerJob


def test_defect_02_the_weights_are_one_over_the_number_of_experts() -> None:
    for strategy in (Linear(MergeOptions()), ParamMean(MergeOptions())):
        for count in (1, 2, 5, 7):
            weights = strategy.weights(count, "CompVis/stable-diffusion-v1-4")
            assert weights == (1 / count,) * count
            assert sum(weights) == pytest.approx(1)


def test_defect_02_equal_experts_merge_to_one_of_them() -> None:
    one = Factors(up=torch.randn(6, 3), down=torch.randn(3, 4))
    linear = Linear(MergeOptions())
    weights = linear.weights(5, "any")
    job = LayerJob(name="l", experts=(one,) * 5, weights=weights, expert_ids=tuple("abcde"), seed=0)
    merged = linear.merge_layer(job)
    assert merged is not None
    torch.testing.assert_close(merged.up @ merged.down, one.up @ one.down)


@pytest.mark.parametrize(
    ("base", "length"),
    [
        ("CompVis/stable-diffusion-v1-4", 29),
        ("stabilityai/stable-diffusion-2", 30),
        ("stabilityai/stable-diffusion-xl-base-1.0", 40),
    ],
)
def test_defect_02_released_weights_add_up_to_five_over_the_length(base: str, length: int) -> None:
    assert Released(ReleasedOptions()).weights(5, base) == (1 / length,) * 5
    assert Released(ReleasedOptions(model_id=base)).weights(5, "sd14") == (1 / length,) * 5
    assert sum(Released(ReleasedOptions()).weights(5, base)) == pytest.approx(5 / length)


def test_wrong_number_of_weights_is_one_line() -> None:
    with pytest.raises(UserError, match="2 given for 3 experts"):
        Linear(MergeOptions(weights=[0.5, 0.5])).weights(3, "any")


def test_given_weights_are_used_as_they_are() -> None:
    assert Linear(MergeOptions(weights=[0.7, -0.1])).weights(2, "any") == (0.7, -0.1)


def test_released_without_an_id_says_what_it_needs() -> None:
    with pytest.raises(UserError, match="model_id"):
        Released(ReleasedOptions()).weights(5, "")

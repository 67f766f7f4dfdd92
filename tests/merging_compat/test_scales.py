"""The compatibility modes are outside of the scale contract: by how much, and what else they do not hold.

The factors are those of the table in the specification's first section, measured on PEFT: five equal experts.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import pytest
import torch
from selma_plugins.merging.param_mean import ParamMean
from selma_plugins.merging_compat import peft, peft_svd
from selma_plugins.merging_compat.kohya import KohyaAdd, KohyaConcat, KohyaSvd
from selma_plugins.merging_compat.options import (
    KohyaSvdOptions,
    PeftDareOptions,
    PeftMagnitudeOptions,
    PeftOptions,
    PeftTiesOptions,
)
from selma_plugins.merging_compat.plugin import selma_merge_strategies

from selma_core.merging.layer import MergedLayer, merge_layer
from selma_core.merging.options import MergeOptions
from selma_core.protocols import Factors, LayerJob, MergeStrategy
from selma_core.testing import check_merge_strategy

OUT, INTO, RANK = 12, 10, 3
MODES: dict[str, MergeStrategy] = {
    "peft_linear": peft.PeftLinear(PeftOptions()),
    "peft_dare": peft.PeftDare(PeftDareOptions()),
    "peft_magnitude": peft.PeftMagnitude(PeftMagnitudeOptions()),
    "peft_ties": peft.PeftTies(PeftTiesOptions()),
    "peft_svd": peft_svd.PeftSvd(PeftOptions()),
    "peft_ties_svd": peft_svd.PeftTiesSvd(PeftTiesOptions()),
    "peft_dare_linear_svd": peft_svd.PeftDareSvd(PeftDareOptions()),
    "peft_magnitude_svd": peft_svd.PeftMagnitudeSvd(PeftMagnitudeOptions()),
    "kohya_add": KohyaAdd(MergeOptions()),
    "kohya_concat": KohyaConcat(MergeOptions()),
    "kohya_svd": KohyaSvd(KohyaSvdOptions(clamp=None)),
}
# Norm of the merge of five equal experts over the norm of one, at weights 1/5 and 1.
TABLE = {
    "peft_linear": (5.0, 25.0),
    "peft_dare": (5.0, 25.0),
    "peft_magnitude": (5.0, 25.0),
    "peft_ties": (0.2, 1.0),
    "peft_ties_svd": (0.2, 1.0),
    "peft_svd": (1.0, 5.0),
    "peft_dare_linear_svd": (1.0, 5.0),
    "peft_magnitude_svd": (1.0, 5.0),
    "kohya_add": (1.0, 25.0),  # rho^2 for each of 25 pairs
    "kohya_concat": (1 / 25, 1.0),  # rho^2 r / R for each of 5
    "kohya_svd": (1.0, 5.0),
}
FACTOR_MODES = ("peft_linear", "peft_dare", "peft_magnitude", "peft_ties", "kohya_add")


def expert(seed: int, rank: int = RANK) -> Factors:
    stream = torch.Generator().manual_seed(seed)
    return Factors(up=torch.randn(OUT, rank, generator=stream), down=torch.randn(rank, INTO, generator=stream))


def merge(strategy: MergeStrategy, experts: list[Factors], weights: list[float]) -> MergedLayer:
    ids = tuple(map(str, range(len(experts))))
    job = LayerJob(name="l", experts=tuple(experts), weights=tuple(weights), expert_ids=ids, seed=0)
    found = merge_layer(strategy, job)
    assert found is not None
    return found


def load(factory: str) -> Callable[[Any], MergeStrategy]:
    module, _, attribute = factory.partition(":")
    found: Callable[[Any], MergeStrategy] = attrgetter(attribute)(importlib.import_module(module))
    return found


def delta(found: MergedLayer | Factors) -> torch.Tensor:
    factors = found.factors if isinstance(found, MergedLayer) else found
    return factors.up @ factors.down


@pytest.mark.parametrize("name", TABLE)
def test_five_equal_experts(name: str) -> None:
    one = expert(0)
    for weight, factor in zip((0.2, 1.0), TABLE[name], strict=True):
        found = merge(MODES[name], [one] * 5, [weight] * 5)
        torch.testing.assert_close(delta(found), factor * delta(one), rtol=1e-4, atol=1e-4)
        assert found.norm_ratio == pytest.approx(factor / (5 * weight), rel=1e-4)


@pytest.mark.parametrize("name", [name for name, (mean, _) in TABLE.items() if mean != 1.0])
def test_idempotence_is_not_claimed_and_fails(name: str) -> None:
    one = expert(0)
    found = delta(merge(MODES[name], [one] * 5, [0.2] * 5))
    assert float((found - delta(one)).norm()) > 0.5 * float(delta(one).norm())


def test_linear_is_t_times_the_product_of_the_means() -> None:
    """Shared A or independent factors: x5.00 and x2.15 against x1.00 and x0.43 in the specification's second table."""
    for shared in (True, False):
        experts = [expert(i) for i in range(5)]
        if shared:
            experts = [Factors(up=e.up, down=experts[0].down) for e in experts]
        faulty = delta(merge(MODES["peft_linear"], experts, [0.2] * 5))
        torch.testing.assert_close(faulty, 5 * delta(merge(ParamMean(MergeOptions()), experts, [0.2] * 5)))


def test_linear_of_independent_experts_grows_by_the_root_of_their_number() -> None:
    ratios = [
        merge(MODES["peft_linear"], [expert(9 * seed + i) for i in range(5)], [0.2] * 5).norm_ratio
        for seed in range(60)
    ]
    assert sum(ratios) / len(ratios) == pytest.approx(math.sqrt(5), rel=0.1)


@pytest.mark.parametrize("name", FACTOR_MODES)
def test_gauge_invariance_is_not_claimed_and_fails(name: str) -> None:
    experts = [expert(1), expert(2)]
    flipped = [experts[0], Factors(up=-experts[1].up, down=-experts[1].down)]
    plain, turned = (delta(merge(MODES[name], each, [0.5, 0.5])) for each in (experts, flipped))
    assert float((plain - turned).norm()) > 0.1 * float(plain.norm())


@pytest.mark.parametrize("name", [name for name in MODES if name not in FACTOR_MODES])
def test_modes_on_deltas_do_not_depend_on_the_gauge(name: str) -> None:
    experts = [expert(1), expert(2)]
    flipped = [experts[0], Factors(up=-experts[1].up, down=-experts[1].down)]
    plain, turned = (delta(merge(MODES[name], each, [0.5, 0.5])) for each in (experts, flipped))
    torch.testing.assert_close(plain, turned)


@pytest.mark.parametrize("name", [name for name in MODES if name not in FACTOR_MODES])
def test_conformance(name: str) -> None:
    """Those on factors refuse unequal ranks, which the check uses."""
    (record,) = [record for record in selma_merge_strategies() if record.name == name]
    assert record.options is not None
    check_merge_strategy(load(record.factory), record.options(), identity=False)


def test_every_mode_says_what_it_is() -> None:
    records = list(selma_merge_strategies())
    assert {record.name for record in records} == set(MODES)
    assert all("outside of the scale contract" in record.summary for record in records)
    for record in records:
        assert record.options is not None
        built = load(record.factory)(record.options())
        assert isinstance(built, type(MODES[record.name]))

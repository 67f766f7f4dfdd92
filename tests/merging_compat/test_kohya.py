"""The `kohya_*` modes: the scripts' own numbers, and the formulas by hand in float64."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from selma_plugins.merging_compat.kohya import KohyaAdd, KohyaConcat, KohyaSvd
from selma_plugins.merging_compat.options import KohyaSvdOptions

from selma_core.errors import UserError
from selma_core.merging.layer import merge_layer
from selma_core.merging.options import MergeOptions
from selma_core.protocols import Factors, LayerJob, MergeStrategy

# Run once through the scripts of kohya-ss/sd-scripts at the commit that the file names, float32 on a CPU.
GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("kohya.json").read_text())
LAYER = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"  # the scripts' input_blocks_4_1: IN04
RATIOS = (0.7, -0.3, 1.1)


def expert(seed: int, rank: int) -> Factors:
    stream = torch.Generator().manual_seed(seed)
    return Factors(up=torch.randn(7, rank, generator=stream), down=torch.randn(rank, 5, generator=stream))


def merge(strategy: MergeStrategy, experts: tuple[Factors | None, ...], ratios: tuple[float, ...]) -> torch.Tensor:
    ids = tuple(map(str, range(len(experts))))
    found = merge_layer(strategy, LayerJob(name=LAYER, experts=experts, weights=ratios, expert_ids=ids, seed=0))
    assert found is not None
    return found.factors.up.double() @ found.factors.down.double()


def build(case: dict[str, Any]) -> MergeStrategy:
    blocks = case["block_weights"]
    if case["mode"] == "kohya_svd":
        return KohyaSvd(KohyaSvdOptions(rank=case["rank"], block_weights=blocks))
    return (KohyaAdd if case["mode"] == "kohya_add" else KohyaConcat)(MergeOptions(block_weights=blocks))


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["mode"])
def test_the_numbers_of_the_scripts(case: dict[str, Any]) -> None:
    experts = []
    for each in case["experts"]:
        up, down = torch.tensor(each["up"]), torch.tensor(each["down"])
        experts.append(Factors(up=up * each["alpha"] / len(down), down=down))
    wanted = torch.tensor(case["delta"], dtype=torch.float64)
    found = merge(build(case), tuple(experts), tuple(case["ratios"]))
    assert float((found - wanted).norm()) < 1e-5 * float(wanted.norm())


def test_add_by_hand() -> None:
    """sum over all pairs of |rho_i| rho_j B_i A_j."""
    experts = [expert(i, 2) for i in range(3)]
    wanted = sum(
        (
            abs(p) * q * (x.up.double() @ y.down.double())
            for p, x in zip(RATIOS, experts, strict=True)
            for q, y in zip(RATIOS, experts, strict=True)
        ),
        torch.zeros(7, 5, dtype=torch.float64),
    )
    torch.testing.assert_close(merge(KohyaAdd(MergeOptions()), tuple(experts), RATIOS), wanted, rtol=1e-5, atol=1e-5)


def test_concat_by_hand() -> None:
    """sum of rho_i |rho_i| r_i / R D_i, unequal ranks too; the layer that an expert lacks is not in R."""
    experts = [expert(i, rank) for i, rank in enumerate((1, 2, 3))]
    wanted = torch.zeros(7, 5, dtype=torch.float64)
    for ratio, each in zip(RATIOS, experts, strict=True):
        wanted += ratio * abs(ratio) * len(each.down) / 6 * (each.up.double() @ each.down.double())
    mode = KohyaConcat(MergeOptions())
    torch.testing.assert_close(merge(mode, tuple(experts), RATIOS), wanted, rtol=1e-5, atol=1e-5)
    with_none = merge(mode, (*experts, None), (*RATIOS, 1.0))
    torch.testing.assert_close(with_none, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("ratio", "share"), [(1.0, 1 / 2), (0.5, 1 / 4)])
def test_concat_of_two_equal_experts(ratio: float, share: float) -> None:
    """Of the wanted sum of rho D: 1/T at rho = 1, rho/T otherwise."""
    one = expert(0, 2)
    wanted = 2 * ratio * (one.up.double() @ one.down.double())
    found = merge(KohyaConcat(MergeOptions()), (one, one), (ratio, ratio))
    torch.testing.assert_close(found, share * wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", [KohyaAdd, KohyaConcat])
def test_a_ratio_acts_squared_and_keeps_its_sign(mode: type[KohyaAdd | KohyaConcat]) -> None:
    one = expert(0, 2)
    for ratio in (0.5, -0.5):
        wanted = ratio * abs(ratio) * (one.up.double() @ one.down.double())
        torch.testing.assert_close(merge(mode(MergeOptions()), (one,), (ratio,)), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", [KohyaAdd, KohyaConcat])
def test_a_block_weight_acts_squared_and_loses_its_sign(mode: type[KohyaAdd | KohyaConcat]) -> None:
    one = expert(0, 2)
    for ratio in (0.5, -0.5):
        for block in (0.6, -0.6):
            found = merge(mode(MergeOptions(block_weights=[[block] * 20])), (one,), (ratio,))
            wanted = ratio * abs(ratio) * 0.36 * (one.up.double() @ one.down.double())
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_svd_clamps_at_the_quantile() -> None:
    experts = tuple(expert(i, 3) for i in range(3))
    ids = ("a", "b", "c")
    job = LayerJob(name=LAYER, experts=experts, weights=RATIOS, expert_ids=ids, seed=0)
    clamped, free = (KohyaSvd(KohyaSvdOptions(rank=3, clamp=clamp)).merge_layer(job) for clamp in (0.9, None))
    assert clamped is not None
    assert free is not None
    limit = float(torch.cat([free.up.flatten(), free.down.flatten()]).quantile(0.9))
    assert float(clamped.up.abs().max()) == pytest.approx(limit)
    assert float(free.up.abs().max()) > limit
    plain = attrs.evolve(job, experts=(expert(0, 3),), weights=(1.0,), expert_ids=("a",))
    exact = KohyaSvd(KohyaSvdOptions(rank=None, clamp=None)).merge_layer(plain)
    assert exact is not None
    assert exact.down.shape[0] == 3


def test_svd_is_cut_to_rank_4_unless_told_otherwise() -> None:
    experts = tuple(expert(i, 3) for i in range(3))
    found = merge_layer(
        KohyaSvd(KohyaSvdOptions()), LayerJob(name="l", experts=experts, weights=RATIOS, expert_ids=("a",) * 3, seed=0)
    )
    assert found is not None
    assert found.factors.down.shape[0] == 4


def test_add_refuses_unequal_ranks() -> None:
    with pytest.raises(UserError, match=r"experts of ranks 2, 3; kohya_add .* take kohya_concat"):
        merge(KohyaAdd(MergeOptions()), (expert(0, 2), expert(1, 3)), (0.5, 0.5))

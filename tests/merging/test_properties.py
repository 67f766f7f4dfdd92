"""The contract of merge strategies: which property each strategy has, and that the others indeed lack it."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from selma_plugins.merging.linear import Linear
from selma_plugins.merging.options import ReleasedOptions
from selma_plugins.merging.param_mean import ParamMean
from selma_plugins.merging.released import Released

from selma_core.merging.layer import merge_layer
from selma_core.merging.options import MergeOptions
from selma_core.protocols import Factors, LayerJob, MergeStrategy

OUT, INTO = 6, 5
ALL: dict[str, MergeStrategy] = {
    "linear": Linear(MergeOptions()),
    "linear, rank": Linear(MergeOptions(rank=OUT * INTO)),
    "param_mean": ParamMean(MergeOptions()),
}
DELTA = {name: each for name, each in ALL.items() if name != "param_mean"}
few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**31)
ranks = st.lists(st.integers(1, 4), min_size=1, max_size=5)
weight = st.floats(-2, 2).map(lambda value: round(value, 3))


def expert(seed: int, rank: int = 3) -> Factors:
    stream = torch.Generator().manual_seed(seed)
    return Factors(up=torch.randn(OUT, rank, generator=stream), down=torch.randn(rank, INTO, generator=stream))


def dense(factors: Factors | None) -> torch.Tensor:
    return torch.zeros(OUT, INTO) if factors is None else factors.up @ factors.down


def merge(strategy: MergeStrategy, experts: list[Factors | None], weights: list[float] | None = None) -> torch.Tensor:
    used = tuple(weights) if weights is not None else strategy.weights(len(experts), "base")
    ids = tuple(map(str, range(len(experts))))
    merged = merge_layer(strategy, LayerJob(name="l", experts=tuple(experts), weights=used, expert_ids=ids, seed=0))
    return dense(None if merged is None else merged.factors)


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).norm() <= 1e-5 * max(1.0, float(b.norm())))


@few
@given(seeds, st.integers(1, 4))
def test_1_identity(seed: int, rank: int) -> None:
    one = expert(seed, rank)
    for strategy in ALL.values():
        assert close(merge(strategy, [one]), dense(one))


@few
@given(seeds, st.integers(2, 5))
def test_2_idempotence(seed: int, count: int) -> None:
    one = expert(seed)
    for strategy in ALL.values():
        assert close(merge(strategy, [one] * count), dense(one))


@few
@given(seeds, ranks, st.randoms())
def test_3_permutation(seed: int, sizes: list[int], random: object) -> None:
    pairs = [(expert(seed + i, rank), 0.3 * i - 0.5) for i, rank in enumerate(sizes)]
    mixed = list(pairs)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    for strategy in ALL.values():
        plain = merge(strategy, [e for e, _ in pairs], [w for _, w in pairs])
        assert close(merge(strategy, [e for e, _ in mixed], [w for _, w in mixed]), plain)


@few
@given(seeds, weight, weight, st.lists(st.tuples(weight, weight), min_size=2, max_size=4))
def test_4_linear_in_the_weights(seed: int, a: float, b: float, pairs: list[tuple[float, float]]) -> None:
    experts: list[Factors | None] = [expert(seed + i) for i in range(len(pairs))]
    both = [a * w + b * v for w, v in pairs]
    parts = [[w for w, _ in pairs], [v for _, v in pairs]]
    for strategy in DELTA.values():
        apart = a * merge(strategy, experts, parts[0]) + b * merge(strategy, experts, parts[1])
        assert close(merge(strategy, experts, both), apart)


def test_4_param_mean_is_not_linear_in_the_weights() -> None:
    experts: list[Factors | None] = [expert(1), expert(2)]
    double = merge(ALL["param_mean"], experts, [1.0, 1.0])
    assert close(double, 4 * merge(ALL["param_mean"], experts, [0.5, 0.5]))
    assert not close(double, 2 * merge(ALL["param_mean"], experts, [0.5, 0.5]))


@few
@given(seeds, ranks)
def test_5_linear_is_the_sum_of_dense_deltas(seed: int, sizes: list[int]) -> None:
    experts = [expert(seed + i, rank) for i, rank in enumerate(sizes)]
    weights = [0.7 - 0.4 * i for i in range(len(sizes))]  # negative ones too
    wanted = sum((w * dense(e) for w, e in zip(weights, experts, strict=True)), torch.zeros(OUT, INTO))
    for strategy in DELTA.values():
        assert close(merge(strategy, list(experts), weights), wanted)


@few
@given(seeds)
def test_6_gauge_invariance(seed: int) -> None:
    """(B G) (inv(G) A) is the same expert; only a method on deltas gives the same merge."""
    stream = torch.Generator().manual_seed(seed)
    experts = [expert(seed + 1), expert(seed + 2)]
    turns = [torch.linalg.qr(torch.randn(3, 3, generator=stream))[0] * 1.5 for _ in experts]
    turned = [Factors(up=e.up @ g, down=torch.linalg.inv(g) @ e.down) for e, g in zip(experts, turns, strict=True)]
    for strategy in DELTA.values():
        assert close(merge(strategy, list(turned)), merge(strategy, list(experts)))


def test_6_param_mean_is_not_gauge_invariant() -> None:
    experts: list[Factors | None] = [expert(1), expert(2)]
    flipped = Factors(up=-experts[1].up, down=-experts[1].down)  # type: ignore[union-attr]
    assert not close(merge(ALL["param_mean"], [experts[0], flipped]), merge(ALL["param_mean"], experts))


@few
@given(seeds, ranks, st.integers(0, 4))
def test_8_a_missing_layer_is_a_zero_delta(seed: int, sizes: list[int], place: int) -> None:
    experts: list[Factors | None] = [expert(seed + i, rank) for i, rank in enumerate(sizes)]
    experts.insert(min(place, len(sizes)), None)
    zero = [e or Factors(up=torch.zeros(OUT, 1), down=torch.zeros(1, INTO)) for e in experts]
    for strategy in ALL.values():
        assert close(merge(strategy, experts), merge(strategy, list(zero)))


def test_8_no_expert_has_the_layer() -> None:
    job = LayerJob(name="l", experts=(None, None), weights=(0.5, 0.5), expert_ids=("a", "b"), seed=0)
    assert all(merge_layer(strategy, job) is None for strategy in ALL.values())


def test_param_mean_equals_linear_where_all_a_are_equal() -> None:
    """The shared start of SELMA's experts: with A untouched both readings of the paper agree."""
    down = expert(0).down
    experts: list[Factors | None] = [Factors(up=expert(i).up, down=down) for i in range(1, 6)]
    assert close(merge(ALL["param_mean"], experts), merge(ALL["linear"], experts))


def test_param_mean_of_independent_experts_shrinks() -> None:
    """Theory: 1/sqrt(T) of the mean's norm for independent factors of equal rank."""
    ratios = []
    for seed in range(40):
        stream = torch.Generator().manual_seed(seed)
        experts: list[Factors | None] = [
            Factors(up=torch.randn(60, 4, generator=stream), down=torch.randn(4, 50, generator=stream))
            for _ in range(5)
        ]
        weights = (0.2,) * 5
        job = LayerJob(name="l", experts=tuple(experts), weights=weights, expert_ids=tuple("abcde"), seed=0)
        mean, linear = ALL["param_mean"].merge_layer(job), ALL["linear"].merge_layer(job)
        assert mean is not None
        assert linear is not None
        ratios.append(float((mean.up @ mean.down).norm() / (linear.up @ linear.down).norm()))
    assert abs(sum(ratios) / len(ratios) - 5**-0.5) < 0.05


@few
@given(seeds, st.integers(1, 5))
def test_truncation_is_the_best_of_its_rank(seed: int, rank: int) -> None:
    experts: list[Factors | None] = [expert(seed + i, 2) for i in range(3)]
    full = merge(ALL["linear"], experts)
    job = LayerJob(name="l", experts=tuple(experts), weights=(1 / 3,) * 3, expert_ids=tuple("abc"), seed=0)
    cut = merge_layer(Linear(MergeOptions(rank=rank)), job)
    assert cut is not None
    assert cut.factors.down.shape[0] <= rank
    u, s, v = torch.linalg.svd(full)
    best = u[:, :rank] * s[:rank] @ v[:rank]
    assert float((dense(cut.factors) - full).norm()) <= float((best - full).norm()) + 1e-4 * float(full.norm())


def test_convolutions_keep_their_shape() -> None:
    stream = torch.Generator().manual_seed(0)
    experts = tuple(
        Factors(up=torch.randn(4, 2, 1, 1, generator=stream), down=torch.randn(2, 3, 3, 3, generator=stream))
        for _ in range(3)
    )
    job = LayerJob(name="l", experts=experts, weights=(0.5, 0.25, 0.25), expert_ids=("a", "b", "c"), seed=0)
    wanted = sum(w * e.up.flatten(1) @ e.down.flatten(1) for w, e in zip(job.weights, experts, strict=True))
    for options in (MergeOptions(), MergeOptions(rank=5)):
        found = merge_layer(Linear(options), job)
        assert found is not None
        merged = found.factors
        assert merged.up.shape[2:] == (1, 1)
        assert merged.down.shape[1:] == (3, 3, 3)
        if options.rank is None:
            torch.testing.assert_close(merged.up.flatten(1) @ merged.down.flatten(1), wanted)


def test_scale_multiplies_the_sum() -> None:
    experts: list[Factors | None] = [expert(1), expert(2)]
    half = Linear(MergeOptions(scale=0.5))
    assert close(merge(half, experts), 0.5 * merge(ALL["linear"], experts))


def test_zero_experts_give_no_nan() -> None:
    zero = Factors(up=torch.zeros(OUT, 3), down=torch.zeros(3, INTO))
    job = LayerJob(name="l", experts=(zero, zero), weights=(0.5, 0.5), expert_ids=("a", "b"), seed=0)
    cut = merge_layer(Linear(MergeOptions(rank=2)), job)
    assert cut is not None
    assert torch.equal(dense(cut.factors), torch.zeros(OUT, INTO))


def test_released_is_linear_with_its_weights() -> None:
    experts: list[Factors | None] = [expert(1), expert(2)]
    released = Released(ReleasedOptions(model_id="x" * 20))
    assert close(merge(released, experts), 0.1 * merge(ALL["linear"], experts))

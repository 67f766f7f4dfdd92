"""From the factors, or streamed: the same numbers as the dense textbook form, for mixed ranks and absent layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from selma_plugins.merging import claims
from selma_plugins.merging.svd import rank_by

from selma_core.merging.algebra import stream
from selma_core.protocols import Factors, LayerJob
from tests.merging import references as dense
from tests.merging.cases import RECORDS, build
from tests.merging.claims import Draw, delta, job, merged

Reference = Callable[[dense.Deltas, LayerJob], torch.Tensor]


def draws(layer: LayerJob, index: int, like: torch.Tensor) -> torch.Tensor:
    """The uniform numbers of an expert's mask."""
    if layer.experts[index] is None:
        return torch.ones_like(like)
    return torch.empty_like(like).uniform_(generator=stream(layer, index))


def tied(d: float, variant: str = "selma", vote: str | None = None) -> Reference:
    return lambda deltas, layer: dense.ties([dense.band(x, d) for x in deltas], layer.weights, variant, vote)


def masked(trim: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], tie: bool = False) -> Reference:
    def reference(deltas: dense.Deltas, layer: LayerJob) -> torch.Tensor:
        kept = [trim(x, draws(layer, i, x)) for i, x in enumerate(deltas)]
        return dense.ties(kept, layer.weights) if tie else dense.linear(kept, layer.weights)

    return reference


def summed(d: float, gamma: float = 0.0) -> Reference:
    return lambda deltas, layer: dense.linear([dense.band(x, d, gamma) for x in deltas], layer.weights)


def inside(space: Callable[..., torch.Tensor], reference: Reference) -> Reference:
    return lambda deltas, layer: space(deltas, lambda found: reference(found, layer))


def plain(function: Callable[..., torch.Tensor], **options: object) -> Reference:
    return lambda deltas, layer: function(deltas, layer.weights, **options)


def cut(k: int) -> Reference:
    return lambda deltas, layer: dense.best(dense.linear(deltas, layer.weights), k)


LINEAR = plain(dense.linear)
TABLE: list[tuple[str, dict[str, object], Reference]] = [
    ("linear", {}, LINEAR),
    ("selma_released", {}, LINEAR),
    ("cat", {}, LINEAR),
    ("svd", {"k": 3}, cut(3)),
    *(("svd", {"k": 3, "route": route}, cut(3)) for route in ("gram_core", "qr", "thin", "gram")),
    *(("ties", {"density": 0.4, "max_bytes": limit}, tied(0.4)) for limit in (2**28, 0)),
    *(("ties", {"density": 0.4, "variant": "peft", "vote": v}, tied(0.4, "peft", v)) for v in ("total", "frequency")),
    ("ties", {"density": 0.4, "variant": "paper"}, tied(0.4, "paper")),
    *(("ties", {"density": 0.4, "variant": "sd-mecha", "vote": v}, tied(0.4, "sd-mecha", v)) for v in (None, "total")),
    ("magnitude", {"density": 0.3}, summed(0.3)),
    ("magnitude", {"density": 0.3, "inner": "ties"}, tied(0.3)),
    ("breadcrumbs", {"density": 0.6, "gamma": 0.1}, summed(0.6, 0.1)),
    ("dare", {"density": 0.4}, masked(lambda x, u: dense.dropped(x, 0.4, u))),
    ("dare", {"density": 0.4, "inner": "ties"}, masked(lambda x, u: dense.dropped(x, 0.4, u), tie=True)),
    ("della", {"density": 0.4, "eps": 0.2}, masked(lambda x, u: dense.della(x, 0.4, 0.2, u))),
    ("della", {"inner": "ties", "max_bytes": 0}, masked(lambda x, u: dense.della(x, 0.5, 0.15, u), tie=True)),
    ("model_stock", {}, plain(dense.model_stock)),
    ("tsv", {}, plain(dense.tsv)),
    ("knots", {"inner": "linear"}, LINEAR),
    ("knots", {"inner": "ties", "density": 0.4}, inside(dense.knots, tied(0.4))),
    ("knots", {"inner": "magnitude", "density": 0.4}, inside(dense.knots, summed(0.4))),
    ("knots", {"inner": "dare", "density": 0.4}, inside(dense.knots, masked(lambda x, u: dense.dropped(x, 0.4, u)))),
    ("core", {"inner": "linear"}, LINEAR),
    ("core", {"inner": "ties", "density": 0.4}, inside(dense.core, tied(0.4))),
    ("core", {"inner": "dare", "density": 0.4}, inside(dense.core, masked(lambda x, u: dense.dropped(x, 0.4, u)))),
    ("iso_c", {}, plain(dense.iso_c)),
    ("iso_c", {"denominator": "full"}, plain(dense.iso_c, full=True)),
    ("cart", {"share": 0.2, "lam": 0.3}, plain(dense.cart, share=0.2, lam=0.3)),
]
EQUAL = ("paper", "sd-mecha")
# Thresholds, votes and bases of the reference are those of float64; what has none is held to fp32 too.
EXACT_INPUT = ("ties", "magnitude", "breadcrumbs", "dare", "della", "knots", "core")


def layer(draw: Draw, dtype: torch.dtype, *, equal: bool) -> LayerJob:
    """Experts of mixed ranks with mixed weights, the third without the layer."""
    experts: list[Factors | None] = [*draw.experts(dtype)]
    experts[2] = None
    weights = [0.3, -0.7, 0.4, 0.6][: len(experts)]
    return job(experts, [0.25] * len(experts) if equal else weights, seed=draw.seed)


@pytest.mark.parametrize(("name", "options", "reference"), TABLE, ids=[f"{n}-{o}" for n, o, _ in TABLE])
@pytest.mark.parametrize("shape", [(20, 17), (17, 20), (5, 6), (16, 16)], ids=str)
def test_equals_the_dense_form(
    name: str, options: dict[str, object], reference: Reference, shape: tuple[int, int]
) -> None:
    dtype = torch.float64 if name in EXACT_INPUT else torch.float32
    for seed in range(2):
        made = layer(Draw(seed, shape, (4, 1, 2, 3)), dtype, equal=options.get("variant") in EQUAL)
        deltas = [torch.zeros(shape, dtype=torch.float64) if part is None else delta(part) for part in made.experts]
        wanted = reference(deltas, made)
        assert float((merged(build(name, **options), made) - wanted).norm()) <= 1e-5 * float(wanted.norm())


def test_every_strategy_has_a_reference() -> None:
    others = {"slerp", "param_mean"}  # below, and in test_param_mean
    assert {name for name, _, _ in TABLE} | others == set(RECORDS)


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.2, 0.9), (1.4, -0.4)])
def test_slerp_equals_the_dense_form(weights: tuple[float, float]) -> None:
    experts = Draw(1, (9, 7), (3, 2)).experts()
    wanted = dense.slerp([delta(part) for part in experts], weights)
    torch.testing.assert_close(merged(build("slerp"), job(experts, weights)), wanted, rtol=1e-5, atol=1e-5)


def test_streamed_in_two_passes_ties_gives_the_same_bytes() -> None:
    """Also with masks, that the second pass draws again."""
    made = layer(Draw(3, (40, 30), (4, 1, 2, 3)), torch.float32, equal=False)
    for name in ("ties", "dare", "della", "breadcrumbs"):
        inner = {} if name == "ties" else {"inner": "ties"}
        one, two = (merged(build(name, max_bytes=limit, **inner), made) for limit in (2**28, 0))
        assert torch.equal(one, two)


def test_svd_rules_of_kohya() -> None:
    s = torch.tensor([4.0, 2.0, 2.0, 1.0, 1.0])
    assert [rank_by("sv_ratio", k, s) for k in (1.0, 2.0, 2.1, 100.0)] == [1, 1, 3, 5]
    assert [rank_by("sv_cumulative", k, s) for k in (0.1, 0.4, 0.41, 0.8, 1.0)] == [1, 1, 2, 3, 5]
    assert [rank_by("sv_fro", (k / 26) ** 0.5, s) for k in (15, 16, 17, 24, 25, 26)] == [1, 1, 2, 3, 4, 5]
    assert rank_by("sv_fro", 0.9, torch.zeros(1)) == 1


def test_core_ties_is_not_ties_and_knots_neither() -> None:
    """Other coordinates: other entries are dropped. The names must not be taken for each other."""
    made = layer(Draw(5, (20, 17), (4, 1, 2, 3)), torch.float64, equal=False)
    found = {name: merged(build(name, density=0.5), made) for name in ("ties", "core", "knots")}
    assert claims.EQUALS_LINEAR not in build("core").claims
    for one, other in (("ties", "core"), ("ties", "knots"), ("core", "knots")):
        assert float((found[one] - found[other]).norm()) > 0.1 * float(found[one].norm())

"""Inputs at the edge: zeros, copies, deficient ranks, one row, nothing kept. A documented number comes out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from selma_core.errors import UserError
from selma_core.merging.layer import merge_layer
from selma_core.protocols import Factors
from tests.merging.cases import CASES, Case, build
from tests.merging.claims import Draw, delta, job, merged


def zero(rows: int = 6, columns: int = 5, rank: int = 2) -> Factors:
    return Factors(up=torch.zeros(rows, rank), down=torch.zeros(rank, columns))


def untrained(seed: int = 0) -> Factors:
    """B = 0 and A drawn, as a LoRA starts."""
    return Factors(up=torch.zeros(6, 2), down=Draw(seed, (6, 5), (2,)).experts()[0].down)


def deficient(seed: int = 0) -> Factors:
    """Rank 1 in factors of rank 3."""
    part = Draw(seed, (6, 5), (1,)).experts()[0]
    return Factors(up=part.up.repeat(1, 3), down=part.down.repeat(3, 1))


def drawn(seed: int, shape: tuple[int, int] = (6, 5), rank: int = 2) -> Factors:
    return Draw(seed, shape, (rank,)).experts()[0]


EDGES: dict[str, Callable[[], list[Factors | None]]] = {
    "all zero": lambda: [zero(), zero()],
    "untrained": lambda: [untrained(1), untrained(2)],
    "one zero": lambda: [drawn(1), zero()],
    "one untrained": lambda: [untrained(3), drawn(1)],
    "copies": lambda: [drawn(1), drawn(1)],
    "opposites": lambda: [drawn(1), Factors(up=-drawn(1).up, down=drawn(1).down)],
    "deficient": lambda: [deficient(1), deficient(2)],
    "full rank": lambda: [drawn(1, rank=6), drawn(2, rank=9)],
    "one row": lambda: [drawn(1, (1, 7)), drawn(2, (1, 7))],
    "one column": lambda: [drawn(1, (7, 1)), drawn(2, (7, 1))],
    "one number": lambda: [drawn(1, (1, 1), 1), drawn(2, (1, 1), 1)],
    "tiny": lambda: [Factors(up=p.up * 1e-12, down=p.down * 1e-12) for p in (drawn(1), drawn(2))],
    "huge": lambda: [Factors(up=p.up * 1e8, down=p.down * 1e8) for p in (drawn(1), drawn(2))],
    "none here": lambda: [None, None],
    "one here": lambda: [None, drawn(2)],
}


@pytest.mark.parametrize("edge", EDGES)
def test_no_nan(edge: str) -> None:
    for case in CASES:
        for weights in ((0.5, 0.5), (0.0, 0.0), (-1.0, -1.0)):
            experts = EDGES[edge]()
            found = merge_layer(case.strategy, job(experts, weights))  # the driver refuses NaN itself
            assert (found is None) == (edge == "none here"), case
            if found is not None and edge in ("all zero", "untrained"):
                assert not bool((found.factors.up @ found.factors.down).any()), case
            if found is not None and not any(weights):
                assert not bool((found.factors.up @ found.factors.down).any()), case


@pytest.mark.parametrize("case", CASES, ids=str)
def test_inputs_are_left_as_they_are(case: Case) -> None:
    experts = [drawn(1), drawn(2)]
    kept = [(part.up.clone(), part.down.clone()) for part in experts]
    merge_layer(case.strategy, job(experts, [0.5, 0.5]))
    for part, (up, down) in zip(experts, kept, strict=True):
        assert torch.equal(part.up, up)
        assert torch.equal(part.down, down)


@pytest.mark.parametrize("name", ["ties", "magnitude", "breadcrumbs", "dare", "knots", "core"])
def test_density_0_keeps_nothing(name: str) -> None:
    found = merged(build(name, density=0.0), job([drawn(1), drawn(2)], [0.5, 0.5]))
    assert not bool(found.any())


def test_a_share_below_one_entry_keeps_nothing() -> None:
    assert not bool(merged(build("magnitude", density=0.03), job([drawn(1)], [1.0])).any())


def test_rank_0_is_the_zero_delta() -> None:
    found = merge_layer(build("svd", k=0), job([drawn(1), drawn(2)], [0.5, 0.5]))
    assert found is not None
    assert found.factors.down.shape == (1, 5)
    assert not bool((found.factors.up @ found.factors.down).any())


def test_svd_writes_the_true_rank() -> None:
    found = merge_layer(build("svd", k=4), job([deficient(1), deficient(2)], [0.5, 0.5]))
    assert found is not None
    assert found.factors.down.shape[0] == 2


def test_tsv_with_more_experts_than_rows_keeps_one_direction_each() -> None:
    experts = [drawn(i, (2, 9), 2) for i in range(4)]
    found = merged(build("tsv"), job(experts, [0.25] * 4))
    assert float(found.norm()) > 0
    assert int(torch.linalg.matrix_rank(found)) <= 2


def test_tsv_of_copies_is_the_copy() -> None:
    """The trap: without a cut of the polar factor's own noise the relative error is above 1."""
    one = drawn(1, (40, 30), 3)
    torch.testing.assert_close(merged(build("tsv"), job([one] * 4, [0.25] * 4)), delta(one), rtol=1e-4, atol=1e-5)


def test_iso_c_does_not_invent_directions() -> None:
    found = merged(build("iso_c", denominator="full"), job([drawn(1, (30, 20), 2)], [1.0]))
    assert int(torch.linalg.matrix_rank(found, rtol=1e-4)) == 2


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("ties", {"vote": "total"}, "variant 'selma' has one way to vote"),
        ("ties", {"variant": "peft", "vote": "median"}, "total, frequency or null"),
        ("ties", {"variant": "mergekit"}, "must be one of selma, peft, paper, sd-mecha"),
        ("della", {"density": 0.1, "eps": 0.1}, r"must be in \(0, 1\)"),
        ("della", {"density": 1.0}, r"must be in \(0, 1\)"),
        ("knots", {"inner": "della", "density": 0.9}, r"must be in \(0, 1\)"),
        ("breadcrumbs", {"density": 0.995}, "add up to more than 1"),
        ("magnitude", {"density": 1.1}, "between 0 and 1"),
        ("svd", {"k": 2.5}, "whole rank"),
        ("svd", {"by": "sv_fro"}, "needs a 'k'"),
        ("svd", {"by": "sv_fro", "k": 1.5}, "share above 0"),
        ("svd", {"by": "sv_ratio", "k": 0.5}, "at least 1"),
        ("svd", {"by": "sv_fro", "k": 0.5, "route": "randomized"}, "route: auto"),
        ("core", {"inner": "della"}, "linear, ties, dare"),
    ],
)
def test_options_that_make_no_sense_are_refused(name: str, options: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        build(name, **options)


def test_slerp_says_so_early() -> None:
    with pytest.raises(UserError):
        build("slerp").weights(5, "")

"""The losses that teach by similarity: directions, scales, padding."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.sur.losses import Distance, Kind


def naive(student: torch.Tensor, teacher: torch.Tensor) -> float:
    """Sum over tokens and features of p log(p / q), mean over the batch, in plain Python."""
    total = 0.0
    for s, t in zip(student.flatten(0, 1).tolist(), teacher.flatten(0, 1).tolist(), strict=True):
        p = [math.exp(v) / sum(map(math.exp, s)) for v in s]
        q = [math.exp(v) / sum(map(math.exp, t)) for v in t]
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return total / len(student)


@given(seed=st.integers(0, 999))
def test_kl_equals_its_definition(seed: int) -> None:
    stream = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, 3, 4, generator=stream), torch.randn(2, 3, 4, generator=stream)
    assert float(Distance()(student, teacher)) == pytest.approx(naive(student, teacher), abs=1e-5)
    back = Distance(direction="teacher_student")(student, teacher)
    assert float(back) == pytest.approx(naive(teacher, student), abs=1e-5)


def test_the_released_form_is_torch_s_kl_div_with_batchmean() -> None:
    stream = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 5, 8, generator=stream), torch.randn(2, 1, 8, generator=stream)
    wide = teacher.expand_as(student)
    for heat in (1.0, 2.0):
        released = heat**2 * torch.nn.functional.kl_div(
            torch.log_softmax(wide / heat, -1), torch.softmax(student / heat, -1), reduction="batchmean"
        )
        assert torch.allclose(Distance(temperature=heat)(student, teacher), released, atol=1e-5)


def test_a_case_by_hand() -> None:
    student, teacher = torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[0.0, 0.0]]])
    assert float(Distance(kind="mse")(student, teacher)) == pytest.approx(2.0)
    assert float(Distance(kind="cosine")(student, torch.tensor([[[0.0, 3.0]]]))) == pytest.approx(1.0)
    p = math.exp(2) / (math.exp(2) + 1)
    wanted = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    assert float(Distance()(student, teacher)) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("kind", ["kl", "cosine", "mse"])
@given(seed=st.integers(0, 99))
def test_equal_is_zero_and_twice_the_tokens_doubles_the_sum_only(kind: Kind, seed: int) -> None:
    stream = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, 3, 4, generator=stream), torch.randn(2, 3, 4, generator=stream)
    assert float(Distance(kind=kind)(student, student)) == pytest.approx(0, abs=1e-5)
    for normalise, factor in (("sum", 2.0), ("mean", 1.0)):
        distance = Distance(kind=kind, normalise=normalise)  # type: ignore[arg-type]
        once = float(distance(student, teacher))
        twice = float(distance(torch.cat([student, student], 1), torch.cat([teacher, teacher], 1)))
        assert twice == pytest.approx(factor * once, rel=1e-4)


@pytest.mark.parametrize("kind", ["kl", "cosine", "mse"])
@pytest.mark.parametrize("normalise", ["sum", "mean"])
def test_padding_adds_nothing_under_a_mask(kind: Kind, normalise: str) -> None:
    stream = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(1, 4, 8, generator=stream), torch.randn(1, 4, 8, generator=stream)
    mask = torch.tensor([[True, True, False, False]])
    distance = Distance(kind=kind, normalise=normalise)  # type: ignore[arg-type]
    assert torch.allclose(distance(student, teacher, mask), distance(student[:, :2], teacher[:, :2]), atol=1e-6)
    other = student.clone()
    other[:, 2:] = 9
    assert torch.equal(distance(other, teacher, mask), distance(student, teacher, mask))

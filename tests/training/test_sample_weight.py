"""Reward-weighted loss (GORS): the weight comes from the selection's metadata."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from selma_core.artifacts.images import item_row, read_images, write_images
from selma_core.data import ImageItem
from selma_core.errors import UserError


def weighed(pictures: Sequence[ImageItem], values: Sequence[float]) -> list[ImageItem]:
    return [
        attrs.evolve(item, selection={"rule": "threshold", "values": {"reward": value}})
        for item, value in zip(pictures, values, strict=True)
    ]


def first_loss(train: Any, images: Sequence[ImageItem], metric: str = "reward") -> float:
    return float(train(images=images, steps=1, log_every=1, batch_size=6, sample_weight=metric).curve[0]["loss"])


def test_the_loss_is_reward_times_error(train: Any, pictures: Any) -> None:
    plain = first_loss(train, pictures, "")
    values = [0.9, 0.1, 0.5, 0.0, 1.0, 0.3]
    assert first_loss(train, weighed(pictures, [1.0] * 6)) == pytest.approx(plain, rel=1e-6)
    assert first_loss(train, weighed(pictures, [0.0] * 6)) == 0
    some, rest = weighed(pictures, values), weighed(pictures, [1 - value for value in values])
    assert first_loss(train, some) + first_loss(train, rest) == pytest.approx(plain, rel=1e-5)
    assert first_loss(train, some) != pytest.approx(plain / 2, rel=1e-3)
    alone = [first_loss(train, weighed(pictures, [float(i == j) for j in range(6)])) for i in range(6)]
    assert sum(alone) == pytest.approx(plain, rel=1e-5)
    expected = sum(value * loss for value, loss in zip(values, alone, strict=True))
    assert first_loss(train, some) == pytest.approx(expected, rel=1e-5)


def test_an_image_that_weighs_nothing_teaches_nothing(train: Any, pictures: Any) -> None:
    none = train(images=weighed(pictures, [0.0] * 6), sample_weight="reward", weight_decay=0.0)
    assert all(not value.any() for name, value in none.tensors.items() if "lora_B" in name)
    assert none.metadata["sample_weight"] == "reward"


def test_the_selection_is_read_back_from_the_image_set(pictures: Any) -> None:
    folder: Path = pictures[0].path.parent
    write_images(folder, [item_row(item, {"values": {"reward": 0.25}}) for item in pictures])
    assert [item.selection["values"]["reward"] for item in read_images(folder)] == [0.25] * 6


@pytest.mark.parametrize(
    ("values", "metric", "line"),
    [
        ({"reward": -0.5}, "reward", "'reward' is -0.5 .*keep images above 0"),
        ({"reward": 0.5}, "rewrad", "has no 'rewrad': did you mean 'reward'"),
        ({}, "reward", "has no 'reward': train on what a selector kept"),
        ({"reward": None}, "reward", "has no 'reward'"),
    ],
)
def test_what_cannot_be_weighed_is_named(
    train: Any, pictures: Any, values: dict[str, Any], metric: str, line: str
) -> None:
    images = [attrs.evolve(item, selection={"values": values}) for item in pictures]
    with pytest.raises(UserError, match=line):
        train(images=images, sample_weight=metric)

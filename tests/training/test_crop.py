"""Random crops: another part of a wide picture at every step, drawn from seed and step, known to SDXL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from PIL import Image
from selma_plugins.training import latents, trainer
from selma_plugins.training.families import Batch
from selma_plugins.training.latents import read_pixels
from selma_plugins.training.options import LoraOptions

from selma_core.data import ImageItem
from selma_core.protocols import TrainedAdapter
from tests.tiny_stage import TinyContext

RANDOM: dict[str, Any] = {"resolution": 16, "crop": "random", "cache_latents": False}


@pytest.fixture
def wide(pictures: tuple[ImageItem, ...], tmp_path: Path) -> list[ImageItem]:
    """The pictures, twice as wide."""
    found = []
    for item in pictures:
        path = tmp_path / f"wide-{item.path.name}"
        Image.open(item.path).resize((32, 16)).save(path)
        found.append(attrs.evolve(item, path=path, sha256=f"wide-{item.sha256}"))
    return found


def equal(one: TrainedAdapter, other: TrainedAdapter) -> bool:
    return all(torch.equal(value, other.tensors[name]) for name, value in one.tensors.items())


@pytest.mark.parametrize(
    ("place", "left", "mirrored"), [(None, 2, 2), ((0.0, 0.0), 0, 5), ((0.0, 0.5), 3, 2), ((0.9, 0.99), 5, 0)]
)
def test_the_crop_and_its_corner(tmp_path: Path, place: Any, left: int, mirrored: int) -> None:
    """The red value of a column is its number, so the crop can be read from the pixels; a side of 5 is free."""
    columns = np.tile(np.arange(13, dtype=np.uint8)[None, :, None], (8, 1, 3))
    Image.fromarray(columns).save(tmp_path / "columns.png")
    pixels, sizes = read_pixels(tmp_path / "columns.png", 8, place)
    seen = ((pixels[0] + 1) * 127.5).round().int()
    assert seen[0].tolist() == list(range(left, left + 8))
    assert sizes.tolist() == [[8, 13, 0, left, 8, 8], [8, 13, 0, mirrored, 8, 8]]
    if place is not None:  # the corner of the mirrored picture's crop, in the mirrored picture
        assert columns[0, ::-1, 0][mirrored : mirrored + 8].tolist() == seen[0].flip(0).tolist()


def test_pictures_of_one_side_train_as_before(train: Any) -> None:
    assert equal(train(**RANDOM), train(resolution=16))


def test_wide_pictures_are_cropped_anew_and_resume_bit_by_bit(
    train: Any, wide: list[ImageItem], tmp_path: Path
) -> None:
    settings = {**RANDOM, "steps": 5, "save_every": 2, "heldout": 0.2}
    whole = train(images=wide, **settings)
    assert not equal(whole, train(images=wide, **settings | {"crop": "center"}))
    context = TinyContext(tmp_path / "killed", stop_at=3)
    with pytest.raises(KeyboardInterrupt):
        train(images=wide, context=context, **settings)
    context.stop_at = None
    resumed = train(images=wide, context=context, **settings)
    assert equal(resumed, whole)
    assert resumed.curve == whole.curve


def test_sdxl_is_told_the_corner(train: Any, wide: list[ImageItem], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the denoiser is told is where the pixels came from; held-out pictures are cropped at the centre."""
    read: list[list[float]] = []
    told: list[list[float]] = []

    def spy(path: Path, resolution: int | None, place: Any = None) -> Any:
        pixels, sizes = read_pixels(path, resolution, place)
        if place is not None:
            read.append(sizes[0].tolist())
        return pixels, sizes

    def watched(denoiser: Any) -> Any:
        inner = family_of(denoiser)

        def predict(model: Any, batch: Batch) -> torch.Tensor:
            told.extend(batch.sizes.tolist())
            return inner(model, batch)

        return predict

    family_of = trainer.family_of
    monkeypatch.setattr(trainer, "family_of", watched)
    monkeypatch.setattr(latents, "read_pixels", spy)
    train("sdxl", images=wide, steps=3, flip=False, **RANDOM)
    assert told == read
    assert len({tuple(row) for row in told}) > 4
    told.clear()
    train("sdxl", images=wide, steps=1, heldout=0.2, batch_size=1, **RANDOM)
    assert told[0] == told[-1] == [16, 32, 0, 8, 16, 16]  # before the first step and after the last


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"crop": "random"}, "crop: random crops nothing without a size; set resolution"),
        ({"crop": "random", "resolution": 16}, "cannot be encoded once; set cache_latents: false"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        LoraOptions(model="m", **options)

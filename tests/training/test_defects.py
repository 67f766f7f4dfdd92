"""Defects 5, 9 and 13 of the released code."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import attrs
import pytest
from selma_plugins.training.split import hold_out

from selma_core.artifacts.images import item_row, read_images, write_images
from tests.tiny_stage import TinyContext


def test_defect_05_texts_come_from_the_manifest(train: Any, pictures: Any, tmp_path: Path) -> None:
    """Read twice, with stray files beside the images: the same pairs of image and text."""
    folder = tmp_path / "set"
    folder.mkdir()
    for item in pictures[:3]:
        shutil.copy(item.path, folder)
    write_images(folder, map(item_row, pictures[:3]))
    (folder / "stray_7.png").write_bytes(b"")
    lines: list[str] = []
    for _ in range(2):
        found = read_images(folder, warn=lines.append)
        assert [i.prompt.text for i in found] == [i.prompt.text for i in pictures[:3]]
    assert all("stray_7.png" in line for line in lines)
    assert len(train(images=found, steps=1).tensors) > 0


@pytest.mark.parametrize(("options", "warned"), [({}, 1), ({"flip_sided": False}, 0), ({"flip": False}, 0),
                                                 ({"unflipped_skills": ["count"]}, 0)])  # fmt: skip
def test_defect_09_flipping_prompts_with_sides_warns(
    train: Any, tmp_path: Path, options: dict[str, Any], warned: int
) -> None:
    context = TinyContext(tmp_path / "work")
    train(context=context, steps=1, **options)
    assert len(context.warnings) == warned
    if warned:
        assert "a hat left of a cat" in context.warnings[0]


COMMAS = ("a cat, a hat", "a cat,", "a hat, a cat", "a, b, c,", ", of the", "two")


def test_defect_13_held_out_images_are_those_of_the_held_out_prompts(train: Any, pictures: Any, tmp_path: Path) -> None:
    """Every prompt counts as one, commas or not, and one pipeline serves the whole run."""
    from selma_plugins.training import trainer

    images = [
        attrs.evolve(item, prompt=attrs.evolve(item.prompt, text=text))
        for item, text in zip(pictures, COMMAS, strict=True)
    ]
    kept, held = hold_out(images, 0.35)
    assert len(held) == 2
    assert len(kept) == 4
    assert any("," in i.prompt.text for i in held)
    assert {i.prompt.text for i in held}.isdisjoint(i.prompt.text for i in kept)
    loads: list[Any] = []
    context = TinyContext(tmp_path / "work")
    original = trainer.load_pipeline
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "load_pipeline", lambda *a, **k: loads.append(a) or original(*a, **k))
        adapter = train(images=images, context=context, heldout=0.35, save_every=1, steps=3)
    assert adapter.metadata["heldout_images"] == 2
    assert adapter.metadata["images"] == 4
    assert len(list((tmp_path / "work" / "text").iterdir())) == len(COMMAS)  # none joined, none split
    assert [row["step"] for row in adapter.curve if "heldout" in row] == [1, 2, 3]
    assert len(loads) == 1

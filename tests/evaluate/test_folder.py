"""The image generator `image_folder`: metadata, transparency, broken files, what is missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from selma_plugins.images.folder import ImageFolder
from selma_plugins.images.options import ImageFolderOptions

from selma_core.data import Entry, ImageRequest, Prompt
from selma_core.errors import ArtifactError, UserError
from selma_core.protocols import ImageImporter, ImageJob
from selma_core.testing.context import FakeContext
from selma_core.testing.images import check_image_generator

PROMPTS = [Prompt(id=f"p{i}", text=f"text {i}") for i in range(3)]


def context_of(folder: Path) -> FakeContext:
    entry = Entry(section="folders", name="f", provider="path", data={}, pin="0", path=folder)
    return FakeContext(workdir=folder.parent, entries={("folders", "f"): entry})


def importer() -> ImageFolder:
    return ImageFolder(ImageFolderOptions(folder="f"))


def save(folder: Path, *names: str, mode: str = "RGB", colour: Any = (9, 8, 7)) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, (4, 4), colour).save(folder / name)


def listing(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def draw(folder: Path, context: FakeContext) -> dict[str, Image.Image]:
    made = importer()
    found = made.find(PROMPTS, context)
    requests = tuple(ImageRequest(prompt=p, k=k, seed=0) for p in PROMPTS for k in sorted(found.files.get(p.id, {})))
    return {request.file_name: image for request, image in made.images(ImageJob(context=context, requests=requests))}


def test_it_is_an_image_generator_like_any_other(tmp_path: Path) -> None:
    save(tmp_path / "in", "p0.png", "p1.png", "p2.png")
    options = ImageFolderOptions(folder="f")
    check_image_generator(ImageFolder, options, workdir=tmp_path, context=context_of(tmp_path / "in"))
    assert isinstance(ImageFolder(options), ImageImporter)


@pytest.mark.parametrize("key", ["prompt_id", "item_id", "id"])
def test_metadata_by_id(tmp_path: Path, key: str) -> None:
    save(tmp_path, "a/x.png", "b.jpg", "c.png")
    listing(
        tmp_path,
        [
            {"file_name": "a/x.png", key: "p1"},
            {"file_name": "b.jpg", key: "p1"},
            {"file_name": "c.png", key: "p2", "k": 5},
        ],
    )
    found = importer().find(PROMPTS, context_of(tmp_path))
    assert found.files == {"p1": {0: "a/x.png", 1: "b.jpg"}, "p2": {5: "c.png"}}
    assert found.unmatched == ()


@pytest.mark.parametrize("key", ["text", "prompt", "caption"])
def test_metadata_by_text(tmp_path: Path, key: str) -> None:
    save(tmp_path, "x.png", "y.png", "z.png")
    listing(tmp_path, [{"file_name": "x.png", key: "Text 2."}, {"file_name": "y.png", key: "text 9"}])
    found = importer().find(PROMPTS, context_of(tmp_path))
    assert found.files == {"p2": {0: "x.png"}}
    assert found.unmatched == ("y.png", "z.png")


def test_metadata_that_disagrees_is_reported(tmp_path: Path) -> None:
    save(tmp_path, "x.png")
    listing(tmp_path, [{"file_name": "x.png", "id": "p0", "text": "another"}, {"file_name": "gone.png", "id": "p1"}])
    context = context_of(tmp_path)
    assert importer().find(PROMPTS, context).files == {"p0": {0: "x.png"}}
    assert context.warnings == [
        "1 file(s) of metadata.jsonl not in the folder, first: gone.png",
        "1 file(s) listed with another text than the prompt of their id, first: x.png",
    ]


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([{"file_name": "x.png"}], "names no prompt; it needs one of prompt_id, item_id, id, text, prompt, caption"),
        ([{"text": "text 1"}], "file_name"),
        (
            [{"file_name": "x.png", "id": "p0"}, {"file_name": "y.png", "id": "p0", "k": 0}],
            "is there twice: x.png and y.png",
        ),
    ],
)
def test_broken_metadata_is_one_line(tmp_path: Path, rows: list[dict[str, Any]], error: str) -> None:
    save(tmp_path, "x.png", "y.png")
    listing(tmp_path, rows)
    with pytest.raises((ArtifactError, UserError), match=error) as caught:
        importer().find(PROMPTS, context_of(tmp_path))
    assert "\n" not in str(caught.value)


def test_an_image_outside_of_the_folder_cannot_be_named(tmp_path: Path) -> None:
    save(tmp_path, "secret.png", "in/x.png")
    listing(tmp_path / "in", [{"file_name": "../secret.png", "id": "p0"}, {"file_name": "x.png", "id": "p1"}])
    context = context_of(tmp_path / "in")
    assert list(importer().find(PROMPTS, context).files) == ["p1"]
    assert "../secret.png" in context.warnings[0]


def test_transparency_is_laid_on_white_with_a_note(tmp_path: Path) -> None:
    save(tmp_path, "p0.png", mode="RGBA", colour=(255, 0, 0, 128))
    save(tmp_path, "p1.png", mode="LA", colour=(0, 0))
    save(tmp_path, "p2.png", mode="RGBA", colour=(1, 2, 3, 255))
    context = context_of(tmp_path)
    drawn = draw(tmp_path, context)
    assert drawn["p0-0.png"].getpixel((0, 0)) == (255, 127, 127)
    assert drawn["p1-0.png"].getpixel((0, 0)) == (255, 255, 255)
    assert drawn["p2-0.png"].getpixel((0, 0)) == (1, 2, 3)
    assert {image.mode for image in drawn.values()} == {"RGB"}
    assert context.warnings == ["2 image(s) with transparency laid on white, first: p0.png, p1.png"]


def test_every_mode_becomes_rgb(tmp_path: Path) -> None:
    save(tmp_path, "p0.png", mode="L", colour=7)
    save(tmp_path, "p1.png", mode="P", colour=0)
    save(tmp_path, "p2.jpg", mode="CMYK", colour=(0, 0, 0, 0))
    drawn = draw(tmp_path, context_of(tmp_path))
    assert drawn["p0-0.png"].getpixel((0, 0)) == (7, 7, 7)
    assert drawn["p2-0.png"].getpixel((0, 0)) == (255, 255, 255)


def test_a_broken_image_is_named_and_left_out(tmp_path: Path) -> None:
    save(tmp_path, "p0.png", "p1.png")
    whole = (tmp_path / "p1.png").read_bytes()
    (tmp_path / "p1.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "p2.jpg").write_bytes(b"no image")
    context = context_of(tmp_path)
    assert list(draw(tmp_path, context)) == ["p0-0.png"]
    assert context.warnings == ["2 image(s) unreadable, counted as missing, first: p1.png, p2.jpg"]


def test_hidden_files_and_others_are_no_images(tmp_path: Path) -> None:
    save(tmp_path, "p0.png", ".p1.png", ".ipynb_checkpoints/p2.png")
    (tmp_path / "scores.json").write_text("{}")
    found = importer().find(PROMPTS, context_of(tmp_path))
    assert (found.files, found.unmatched) == ({"p0": {0: "p0.png"}}, ())


def test_a_folder_without_a_fitting_image_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no images"):
        importer().find(PROMPTS, context_of(tmp_path))
    save(tmp_path, "cat.png")
    with pytest.raises(UserError, match=r"none of the 1 images .* 3 prompts by its name; first: cat.png, but p0.png"):
        importer().find(PROMPTS, context_of(tmp_path))

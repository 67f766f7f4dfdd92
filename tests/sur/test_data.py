"""Pairs of prompts: SURD's folders, prompts of web interfaces, captions instead of scraping."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from selma_plugins.sur.captions import CaptionPairs
from selma_plugins.sur.options import CaptionPairsOptions, SurdImagesOptions, SurdOptions
from selma_plugins.sur.pairs import Pair, pairs_of
from selma_plugins.sur.surd import Surd, SurdImages
from selma_plugins.sur.webui import clean, shorten

from selma_core.data import ChatReply, ChatRequest, Entry, ImageItem, ImageRequest, Prompt
from selma_core.errors import ArtifactError, StageError, UserError
from selma_core.options import Slot
from selma_core.protocols import ImageImporter, ImageJob, PromptJob, PromptSource, SelectJob
from tests.tiny_stage import TinyContext, items


@attrs.define
class Context(TinyContext):
    captioner: Any = None

    def entry(self, section: str, name: str) -> Entry:
        return Entry(section=section, name=name, provider="path", data={}, pin="sha256:0", path=Path(name))

    def component(self, kind: str, slot: Slot) -> Any:
        return self.captioner


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path)


def surd(folder: Path, *rows: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def picture(path: Path) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.new("RGB", (4, 4), (9, 9, 9)).save(path)


def read(folder: Path, context: Context, **options: Any) -> tuple[Prompt, ...]:
    source = Surd(SurdOptions(folder=str(folder), **options))
    assert isinstance(source, PromptSource)
    (batch,) = source.prompts(PromptJob(context=context))
    return batch.accepted


ROW = {"file_name": "a.png", "text": "a cat", "prompt": "(masterpiece:1.2), a tabby cat"}


def test_text_is_the_simple_prompt_and_prompt_the_complex_one(tmp_path: Path, context: Context) -> None:
    folder = surd(tmp_path / "s", ROW)
    picture(folder / "a.png")
    (found,) = read(folder, context)
    assert found.text == "a cat"
    assert found.meta == {"simple": "a cat", "complex": "masterpiece, a tabby cat", "file_name": "a.png"}
    (other,) = read(folder, context, text="complex", clean_webui=False)
    assert other.text == ROW["prompt"]
    assert found.id == other.id


def test_names_without_suffix_and_with_backslashes_are_repaired_and_missing_files_are_reported(
    tmp_path: Path, context: Context
) -> None:
    rows = [ROW | {"file_name": name} for name in ("a", "sub\\b.png", "gone.png", "../out.png")]
    folder = surd(tmp_path / "s", *rows)
    for name in ("a.png", "sub/b.png", "../out.png"):
        picture(folder / name)
    assert [one.meta["file_name"] for one in read(folder, context)] == ["a.png", "sub/b.png"]
    assert any(
        "2 file name(s) of metadata.jsonl not in the folder, left out, first: gone" in w for w in context.warnings
    )
    assert any("2 file name(s) of metadata.jsonl repaired, first: a" in w for w in context.warnings)


def test_a_folder_without_any_of_its_files_is_refused(tmp_path: Path, context: Context) -> None:
    with pytest.raises(ArtifactError, match=r"none of its 1 files is there, first: a\.png"):
        read(surd(tmp_path / "s", ROW), context)


def test_rows_without_a_text_are_rejected_and_broken_rows_named(tmp_path: Path, context: Context) -> None:
    folder = surd(tmp_path / "s", ROW, ROW | {"prompt": "<lora:x:1>"})
    picture(folder / "a.png")
    (batch,) = Surd(SurdOptions(folder=str(folder))).prompts(PromptJob(context=context))
    assert [bad.reason for bad in batch.rejected] == ["empty"]
    with pytest.raises(ArtifactError, match="row 2: has no 'prompt'"):
        read(surd(tmp_path / "s", ROW, {"file_name": "a.png", "text": "a"}), context)


def test_the_images_come_by_the_files_that_the_prompts_name(tmp_path: Path, context: Context) -> None:
    folder = surd(tmp_path / "s", ROW, ROW | {"file_name": "b"})  # equal captions
    picture(folder / "a.png")
    picture(folder / "b.png")
    prompts = read(folder, context)
    images = SurdImages(SurdImagesOptions(folder=str(folder)))
    assert isinstance(images, ImageImporter)
    found = images.find(prompts, context)
    assert {key: dict(files) for key, files in found.files.items()} == {
        prompts[0].id: {0: "a.png"},
        prompts[1].id: {0: "b.png"},
    }
    (folder / "b.png").write_bytes(b"no image")
    requests = tuple(ImageRequest(prompt=one, k=0, seed=1) for one in prompts)
    drawn = [request for request, _ in images.images(ImageJob(context=context, requests=requests))]
    assert drawn == [requests[0]]
    assert "b.png cannot be read" in context.warnings[-1]
    with pytest.raises(UserError, match="prompts of the source 'surd'"):
        images.find([Prompt(id="p", text="x")], context)


CLEANED = {
    "(masterpiece:1.2), <lora:name:0.5> best": "masterpiece, best",
    "((a cat)), [blurry], {x}": "a cat, blurry, x",
    "((a:1.1) cat:1.3)": "a cat",
    "[cat:dog:0.5] and [red|blue] BREAK sun": "dog and red, sun",
    r"smile \(face\)": "smile (face)",
    "ratio 16:9, night": "ratio 16:9, night",
    "a,, b ,": "a, b",
}


@pytest.mark.parametrize("text", CLEANED)
def test_web_ui_syntax_goes(text: str) -> None:
    assert clean(text) == CLEANED[text]


@given(st.text(alphabet="ab ,()[]:|<>12.\\", max_size=40))
def test_cleaning_ends_and_leaves_no_gaps(text: str) -> None:
    once = clean(text)
    assert once == clean(once) or "\\" in text or ":" in once
    assert once == once.strip()
    assert "  " not in once


@given(st.lists(st.sampled_from(["a cat", "red", "a very long night"]), min_size=1, max_size=20), st.integers(4, 30))
def test_shortened_prompts_fit_and_are_beginnings(phrases: list[str], tokens: int) -> None:
    text = ", ".join(phrases)
    short = shorten(text, tokens)
    assert text.startswith(short)
    assert len(short.replace(",", " , ").split()) <= tokens - 2 or " " not in short
    assert shorten(text, 0) == text


class Captioner:
    identity = "tester"

    def __init__(self, *replies: ChatReply) -> None:
        self.replies, self.asked = list(replies), list[ChatRequest]()

    def reply(self, requests: list[ChatRequest]) -> list[ChatReply]:
        self.asked += requests
        return [self.replies.pop(0) for _ in requests]


def test_images_of_complex_prompts_get_simple_captions(tmp_path: Path, context: Context) -> None:
    given_items = items(tmp_path / "pictures", 3)
    context.captioner = Captioner(ChatReply(text='"A cat."\nmore'), ChatReply(error="down"), ChatReply(text="a hat"))
    kept = CaptionPairs(CaptionPairsOptions()).select(SelectJob(context=context, items=given_items))
    assert [pairs_of([item])[0] for item, _ in kept] == [
        Pair("A cat.", given_items[0].prompt.text),
        Pair("a hat", given_items[2].prompt.text),
    ]
    assert kept[0][1] == {"rule": "caption_pairs", "captioner": "tester"}
    assert "1 of 3 images got no caption" in context.warnings[-1]
    # A second attempt asks for the missing one only.
    context.captioner = Captioner(ChatReply(text="two"))
    again = CaptionPairs(CaptionPairsOptions()).select(SelectJob(context=context, items=given_items))
    assert [item.prompt.meta["simple"] for item, _ in again] == ["A cat.", "two", "a hat"]
    assert len(context.captioner.asked) == 1


def test_a_killed_builder_asks_for_the_rest_only(tmp_path: Path, context: Context) -> None:
    """Captions are kept as they come, batch by batch; the result is that of one uninterrupted run."""
    given_items = items(tmp_path / "pictures", 5)
    texts = [f"picture {i}" for i in range(5)]
    context.captioner = Captioner(*(ChatReply(text=text) for text in texts))
    fresh = attrs.evolve(context, workdir=tmp_path / "fresh")
    fresh.workdir.mkdir()
    builder = CaptionPairs(CaptionPairsOptions(batch_size=2))
    whole = builder.select(SelectJob(context=fresh, items=given_items))

    class Killed(Captioner):
        def reply(self, requests: list[ChatRequest]) -> list[ChatReply]:
            if len(self.asked) == 4:
                raise KeyboardInterrupt
            return super().reply(requests)

    context.captioner = Killed(*(ChatReply(text=text) for text in texts))
    with pytest.raises(KeyboardInterrupt):
        builder.select(SelectJob(context=context, items=given_items))
    context.captioner = Captioner(ChatReply(text=texts[4]))
    assert builder.select(SelectJob(context=context, items=given_items)) == whole
    assert len(context.captioner.asked) == 1


def test_no_caption_at_all_is_an_error(tmp_path: Path, context: Context) -> None:
    context.captioner = Captioner(ChatReply(error="down"))
    with pytest.raises(StageError, match="tester gave no caption for any of 1 images"):
        CaptionPairs(CaptionPairsOptions()).select(SelectJob(context=context, items=items(tmp_path / "p", 1)))


def test_images_without_pairs_are_refused_before_training(tmp_path: Path) -> None:
    plain: tuple[ImageItem, ...] = items(tmp_path / "p", 2)
    with pytest.raises(UserError, match="2 of 2 images have no pair of a simple and a complex prompt, first: 'p0-0'"):
        pairs_of(plain)

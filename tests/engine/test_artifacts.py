"""The formats on disk: what is written is read back, what is broken is named by file and row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from selma_core.artifacts.images import clashing_names, image_row, png_bytes, read_images, write_images
from selma_core.artifacts.jsonl import Appender, read_rows, repair
from selma_core.artifacts.prompts import PromptSet, read_prompts, write_prompts
from selma_core.artifacts.scores import ImageValue, ScoreTable, read_scores, read_values, write_scores
from selma_core.data import Atom, ImageRequest, ItemAtoms, MetricInfo, Prompt, Rejected
from selma_core.errors import ArtifactError
from selma_core.files import sha256_file

FIXTURE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
META = st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.integers()), max_size=3)


@FIXTURE
@given(st.lists(st.tuples(st.text(), st.text(), META), unique_by=lambda row: row[0]), st.lists(st.text()))
def test_prompts_come_back_as_written(tmp_path: Path, rows: list[tuple[str, str, dict]], rejected: list[str]) -> None:
    prompts = tuple(Prompt(id=name, text=text, skill=text[:2], meta=meta) for name, text, meta in rows)
    found = PromptSet(prompts, tuple(Rejected(text=text, reason="rouge") for text in rejected))
    write_prompts(tmp_path, found)
    assert read_prompts(tmp_path) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"id": "a", "text": "x", "skill": "", "meta": {}}\nnonsense\n', "row 2: is no JSON"),
        ('{"id": "a", "skill": "", "meta": {}}\n', "row 1: has no 'text'"),
        ('{"id": 3, "text": "x", "skill": "", "meta": {}}\n', "row 1: 'id' is int, must be str"),
        ("[1]\n", "row 1: is list, must be an object"),
        ('{"id": "a", "text": "x", "skill": "", "meta": {}}\n' * 2, "row 2: id 'a' occurs twice"),
        ('{"id": "a", "te', "row 1: is no JSON"),
    ],
)
def test_a_broken_prompt_row_is_named(tmp_path: Path, text: str, words: str) -> None:
    write_prompts(tmp_path, PromptSet(()))
    (tmp_path / "prompts.jsonl").write_text(text)
    with pytest.raises(ArtifactError, match=r"prompts\.jsonl, ") as caught:
        read_prompts(tmp_path)
    assert words in str(caught.value)


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"prompts\.jsonl: no such file"):
        read_prompts(tmp_path)
    (tmp_path / "prompts.jsonl").write_bytes(b'{"id": "\xff"}\n')
    with pytest.raises(ArtifactError, match="not UTF-8"):
        read_prompts(tmp_path)


@FIXTURE
@given(st.lists(st.dictionaries(st.text(), st.text(), max_size=2), max_size=4), st.integers(0, 200))
def test_a_cut_last_line_is_dropped_and_appending_goes_on(tmp_path: Path, rows: list[dict], cut: int) -> None:
    path = tmp_path / "work.jsonl"
    path.unlink(missing_ok=True)
    with Appender(path) as file:
        for row in rows:
            file.add(row)
    data = path.read_bytes()[: max(0, path.stat().st_size - cut)]
    path.write_bytes(data)
    whole = data.count(b"\n")
    assert [row.values for row in repair(path)] == rows[:whole]
    with Appender(path) as file:
        file.add({"next": 1})
    assert [row.values for row in read_rows(path)] == [*rows[:whole], {"next": 1}]


@pytest.fixture
def image_set(tmp_path: Path) -> Path:
    """Three images of two prompts."""
    rows = []
    for name, k in [("a b", 0), ("a b", 1), ("c", 0)]:
        request = ImageRequest(
            prompt=Prompt(id=name, text=f"text {name}", skill="s", meta={"n": 1}), k=k, seed=2**62 + k
        )
        (tmp_path / request.file_name).write_bytes(png_bytes(Image.new("RGB", (4, 4), (k, 0, 0))))
        rows.append(image_row(request, sha256_file(tmp_path / request.file_name)))
    write_images(tmp_path, rows)
    return tmp_path


def test_images_come_back_in_order(image_set: Path) -> None:
    items = read_images(image_set, full=True)
    assert [(item.item_id, item.k, item.seed) for item in items] == [
        ("a b-0", 0, 2**62),
        ("a b-1", 1, 2**62 + 1),
        ("c-0", 0, 2**62),
    ]
    assert items[0].prompt == Prompt(id="a b", text="text a b", skill="s", meta={"n": 1})


def test_defect_05_a_stray_file_is_ignored_with_a_warning(image_set: Path) -> None:
    before = read_images(image_set)
    (image_set / "stray-7.png").write_bytes(b"x")
    warnings: list[str] = []
    assert read_images(image_set, warn=warnings.append) == before
    (line,) = warnings
    assert "1 file(s)" in line
    assert "stray-7.png" in line


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "a_b-1.png").unlink(), "row 2: the file 'a_b-1.png' is missing"),
        (lambda folder: (folder / "c-0.png").write_bytes(b"other"), "row 3: the file 'c-0.png' is not the one"),
        (lambda folder: swap(folder, '"c-0.png"', '"../c-0.png"'), "row 3: '../c-0.png' is not the name of a file"),
        (lambda folder: swap(folder, '"k": 1', '"k": 0'), "row 2: image 'a b-0' occurs twice"),
    ],
)
def test_a_broken_image_set_is_named(image_set: Path, spoil: Callable[[Path], None], words: str) -> None:
    spoil(image_set)
    with pytest.raises(ArtifactError) as caught:
        read_images(image_set, full=True)
    assert words in str(caught.value)


def swap(folder: Path, old: str, new: str) -> None:
    path = folder / "metadata.jsonl"
    path.write_text(path.read_text().replace(old, new))


def test_equal_pixels_give_equal_bytes() -> None:
    one, other = Image.new("RGB", (4, 4), (1, 2, 3)), Image.new("RGB", (4, 4), (1, 2, 3))
    one.info.update({"icc_profile": b"x" * 9, "dpi": (72, 72), "comment": "now"})
    assert png_bytes(one) == png_bytes(other)


def test_prompts_that_share_a_file_name_are_found() -> None:
    requests = [ImageRequest(prompt=Prompt(id=name, text=""), k=0, seed=0) for name in ("a b", "a_c", "a/b")]
    assert clashing_names(requests) == ("a b-0", "a/b-0")
    assert clashing_names(requests[:2]) is None


@pytest.mark.slow
def test_the_folder_is_an_imagefolder(image_set: Path) -> None:
    datasets = pytest.importorskip("datasets")
    (image_set / "manifest.json").write_text("{}")
    found = datasets.load_dataset(
        "imagefolder", data_dir=str(image_set), split="train", cache_dir=str(image_set / ".c")
    )
    assert found["text"] == ["text a b", "text a b", "text c"]
    assert found[2]["image"].size == (4, 4)


TABLE = ScoreTable(
    MetricInfo(name="dsg", rules=("official", "selma"), judge="oracle", range=(0.0, None)),
    {"p": {"questions": [1]}, "q": None},
    (
        ItemAtoms(
            item_id="p-0",
            prompt_id="p",
            k=0,
            atoms=(
                Atom(key="1", value=1.0, raw="yes"),
                Atom(key="2", value=None, status="error", data={"parents": ["1"]}),
            ),
        ),
        ItemAtoms(item_id="q-0", prompt_id="q", k=0, atoms=()),
    ),
)


def test_scores_come_back_as_written(tmp_path: Path) -> None:
    values = (
        ImageValue("p-0", "p", 0, {"official": 0.5, "selma": None}),
        ImageValue("q-0", "q", 0, {"official": None}),
    )
    write_scores(tmp_path, TABLE, values)
    assert read_scores(tmp_path) == TABLE
    assert read_values(tmp_path) == values
    rows = [json.loads(line) for line in (tmp_path / "atoms.jsonl").read_text().splitlines()]
    assert [(row["item_id"], row["key"]) for row in rows] == [("p-0", "1"), ("p-0", "2"), ("q-0", None)]


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("atoms.jsonl", '"ok"', '"fine"', "atoms.jsonl, row 1: 'status' is 'fine'"),
        ("atoms.jsonl", '"value": 1.0', '"value": "yes"', "atoms.jsonl, row 1: 'value' is str"),
        ("info.json", '"judge"', '"jury"', "info.json, row 1: has no 'judge'"),
        ("specs.json", "{", "[", "specs.json: is no JSON"),
    ],
)
def test_a_broken_score_file_is_named(tmp_path: Path, file: str, old: str, new: str, words: str) -> None:
    write_scores(tmp_path, TABLE, ())
    (tmp_path / file).write_text((tmp_path / file).read_text().replace(old, new, 1))
    with pytest.raises(ArtifactError) as caught:
        read_scores(tmp_path)
    assert words in str(caught.value)

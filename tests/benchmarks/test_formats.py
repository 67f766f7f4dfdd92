"""Every format of a benchmark gives prompts with ids, groups and questions; what is broken is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.benchmarks.read import FORMATS, contents, format_of, read_items

from selma_core.data import Entry
from selma_core.errors import ArtifactError, ConfigError

EntryOf = Callable[..., Entry]
DSG = (
    "item_id,text,keywords,proposition_id,dependency,category_broad,category_detailed,tuple,question_natural_language\n"
    'a_1,"a cat, black",,1,0,entity,whole,t,Is there a cat?\n'
    'a_1,"a cat, black",,2,1,attribute,color,t,Is the cat black?\n'
)
TIFA = [
    {"id": "coco_1", "caption": "a cat", "question": q, "choices": ["yes", "no"], "answer": "yes", "element_type": "t"}
    for q in ("is there a cat?", "is this a cat?")
]
GENEVAL = [
    {
        "tag": "counting",
        "include": [{"class": "cat", "count": 2}],
        "exclude": [{"class": "cat", "count": 3}],
        "prompt": "a",
    },
    {"tag": "colors", "include": [{"class": "cat", "count": 1, "color": "red"}], "prompt": "b"},
]
GENEVAL2 = [{"prompt": "two cats", "atom_count": 3, "vqa_list": [["How many cats?", "two"]], "skills": ["count"]}]


def rows(values: list[Any]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


CASES = {
    "dsg_csv": ("b.csv", DSG, [("a_1", "a cat, black", "")], 2),
    "tifa_json": ("b.json", json.dumps(TIFA), [("coco_1", "a cat", "")], 2),
    "geneval_jsonl": ("b.jsonl", rows(GENEVAL), [("00000", "a", "counting"), ("00001", "b", "colors")], 0),
    "geneval2_jsonl": ("b.jsonl", rows(GENEVAL2), [("00000", "two cats", "3 atoms")], 1),
    "hps_json": ("anime.json", '["x", "y "]', [("anime_00000", "x", "anime"), ("anime_00001", "y", "anime")], 0),
    "lines": ("color_val.txt", "one\r\n\r\n two\n", [("color_000", "one", ""), ("color_001", "two", "")], 0),
    "prompts_csv": (
        "b.csv",
        "id,prompt,category\n7,a cat,A\n8,a dog,B\n",
        [("7", "a cat", "A"), ("8", "a dog", "B")],
        0,
    ),
    "prompts_jsonl": (
        "b.jsonl",
        rows([{"text": "a"}, {"caption": "b"}]),
        [("b_00000", "a", ""), ("b_00001", "b", "")],
        0,
    ),
}


def test_every_format_has_a_case() -> None:
    assert CASES.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", CASES)
def test_a_file_is_read_and_its_format_told_by_its_content(entry_of: EntryOf, tmp_path: Path, name: str) -> None:
    file, content, wanted, questions = CASES[name]
    (tmp_path / file).write_bytes(("\ufeff" if name != "dsg_csv" else "").encode() + content.encode())
    entry = entry_of(tmp_path / file)
    assert format_of(entry) == name
    items = read_items(entry)
    assert [(item.id, item.text, item.group) for item in items.values()] == wanted
    assert list(items) == [key for key, _, _ in wanted]
    assert sum(len(item.questions) for item in items.values()) == questions == contents(entry)["questions"]
    assert all(question["question"] for item in items.values() for question in item.questions)
    json.dumps([dict(item.data) for item in items.values()])


def test_what_evaluators_need_of_an_item(entry_of: EntryOf, tmp_path: Path) -> None:
    read = {}
    for name in ("tifa_json", "geneval_jsonl", "dsg_csv"):
        (tmp_path / CASES[name][0]).write_text(CASES[name][1])
        read[name] = list(read_items(entry_of(tmp_path / CASES[name][0])).values())
    assert read["tifa_json"][0].questions[0] == {
        "question": "is there a cat?",
        "choices": ["yes", "no"],
        "answer": "yes",
        "element_type": "t",
    }
    assert read["geneval_jsonl"][0].data["exclude"] == [{"class": "cat", "count": 3}]
    assert read["dsg_csv"][0].questions[1]["dependency"] == "1"


@pytest.mark.parametrize(
    ("file", "content", "error"),
    [
        ("b.csv", "a,b\n1,2\n", "row 2: has no prompt under text, prompt, caption"),
        ("b.csv", "id,text\n1,x\n1,y\n", "the id '1' occurs twice"),
        ("b.csv", "id,text\n", "holds no prompts"),
        ("b.json", "{", "is no JSON"),
        ("b.json", '[{"id": "a", "caption": "x"}, {"id": "a", "caption": "y"}]', "entry 2: 'a' has another caption"),
        ("b.json", '[{"id": "a", "caption": "x", "question": "q"}]', r"entry 1: needs 'choices' \(list\)"),
        ("b.jsonl", '{"text": "a"}\n3\n', "row 2: is int, must be an object"),
        ("b.jsonl", '{"tag": "t", "include": []}\n', r"row 1: needs 'prompt' \(str\)"),
        ("b.jsonl", '{"prompt": "p", "vqa_list": [["q"]]}\n', "row 1: 'vqa_list' must hold pairs"),
        ("b.jsonl", "", "holds no prompts"),
        ("b.txt", "\n", "holds no prompts"),
        ("b.parquet", "x", "cannot tell the format; the name must end in .csv, .json, .jsonl, .txt"),
        ("b.json", '{"anime": [1]}', "must hold a list of prompts"),
    ],
)
def test_a_broken_file_is_named_with_its_row(
    entry_of: EntryOf, tmp_path: Path, file: str, content: str, error: str
) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(ArtifactError, match=error) as caught:
        read_items(entry_of(tmp_path / file))
    assert str(tmp_path / file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders(entry_of: EntryOf, tmp_path: Path) -> None:
    for style in ("photo", "anime"):
        (tmp_path / f"{style}.json").write_text(json.dumps([f"{style} {i}" for i in range(2)]))
    found = read_items(entry_of(tmp_path))
    assert [(item.id, item.group) for item in found.values()][1:3] == [
        ("anime_00001", "anime"),
        ("photo_00000", "photo"),
    ]
    (tmp_path / "color_val.txt").write_text("a\n")
    with pytest.raises(ArtifactError, match="either lists of prompts"):
        read_items(entry_of(tmp_path))
    assert contents(entry_of(tmp_path, format="lines"))["groups"] == {"color": 1}


def test_an_unknown_format_names_the_nearest(entry_of: EntryOf, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no 'dsg_cvs'; did you mean 'dsg_csv'"):
        read_items(entry_of(tmp_path, format="dsg_cvs"))


TEXT = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8)


@given(texts=st.lists(TEXT, min_size=1, max_size=5))
def test_plain_formats_agree_on_any_text(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """One prompt per line, per JSON row and per entry of a list: the same prompts in the same order."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "a.jsonl").write_text(rows([{"prompt": text} for text in texts]), encoding="utf-8")
    (folder / "a.json").write_text(json.dumps(texts))
    (folder / "a.txt").write_text("\n".join(texts), encoding="utf-8")
    for name in ("a.jsonl", "a.json", "a.txt"):
        entry = Entry(section="benchmarks", name="a", provider="test", data={}, pin="0", path=folder / name)
        assert [item.text for item in read_items(entry).values()] == texts

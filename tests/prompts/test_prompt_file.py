"""Prompts from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from selma_plugins.prompts.options import PromptFileOptions
from selma_plugins.prompts.prompt_file import PromptFile

from selma_core.data import Rejected
from selma_core.errors import ArtifactError
from selma_core.protocols import PromptJob, PromptSource

TEXTS = ["a red cat", 'a "blue" dog, asleep', "ein Löwe"]
CONTENTS = {
    "list.json": json.dumps(TEXTS),
    "objects.json": json.dumps([{"text": text} for text in TEXTS]),
    "rows.jsonl": "".join(json.dumps({"text": text, "id": i}) + "\n" for i, text in enumerate(TEXTS)),
    "strings.jsonl": "\n\n".join(json.dumps(text, ensure_ascii=False) for text in TEXTS),
    "table.csv": 'id,text\r\n1,a red cat\r\n2,"a ""blue"" dog, asleep"\r\n3,ein Löwe\r\n',
    "lines.txt": '\ufeffa red cat\n\n  a "blue" dog, asleep  \r\nein Löwe',
}


def read(context: Any, path: Path, **options: Any) -> Any:
    source = PromptFile(PromptFileOptions(path=str(path), **options))
    assert isinstance(source, PromptSource)
    (batch,) = source.prompts(PromptJob(context=context))
    assert list(source.prompts(PromptJob(context=context, done=(batch,)))) == []
    return batch


@pytest.mark.parametrize("name", CONTENTS)
def test_reads_every_format(context: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(CONTENTS[name].encode())
    batch = read(context, tmp_path / name, skill="general")
    assert [p.text for p in batch.accepted] == TEXTS
    assert [p.id for p in batch.accepted] == ["general-00000", "general-00001", "general-00002"]
    assert {p.skill for p in batch.accepted} == {"general"}
    assert context.warnings == []


def test_cuts_to_n_and_counts_what_is_dropped(context: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a cat\n---\nA CAT!\na dog\na fox\n")
    batch = read(context, path, n=2)
    assert [p.text for p in batch.accepted] == ["a cat", "a dog"]
    assert batch.rejected == (
        Rejected(text="---", reason="empty"),
        Rejected(text="A CAT!", reason="duplicate", detail="a cat"),
    )


def test_says_when_there_are_fewer(context: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a cat\n")
    read(context, tmp_path / "a.txt", n=5)
    assert context.warnings == ["a.txt holds 1 distinct prompts, not 5"]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.json", "{", "is no JSON"),
        ("a.json", '{"a": 1}', "must hold a JSON list of strings, not dict"),
        ("a.json", '["x", 3]', "entry 2: is not a string"),
        ("a.jsonl", '{"text": "x"}\n{"prompt": "y"}', "row 2: has no text under 'text'"),
        ("a.csv", "caption,texts\nx,y\n", "has no column 'text'; did you mean 'texts'?"),
        ("a.xlsx", "", "cannot tell the format"),
        ("a.txt", None, "cannot be read"),
    ],
)
def test_a_bad_file_is_one_line(context: Any, tmp_path: Path, name: str, content: str | None, line: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ArtifactError) as caught:
        read(context, tmp_path / name)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)

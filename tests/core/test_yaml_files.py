"""YAML as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selma_core.errors import ConfigError
from selma_core.yaml_files import read_value, read_yaml


def read(tmp_path: Path, text: str) -> Any:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    return read_yaml(file)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("5e-4", 5e-4),
        ("3", 3),
        ("-3", -3),
        ("007", "007"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("null", None),
        ("2024-01-01", "2024-01-01"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("[a, 1, [b]]", ["a", 1, ["b"]]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("'3'", "3"),
    ],
)
def test_scalars_of_yaml_1_2(text: str, value: Any) -> None:
    found = read_value(text)
    assert found == value
    assert type(found) is type(value)


def test_keys_are_texts(tmp_path: Path) -> None:
    assert read(tmp_path, "1: a\nno: b\n").data == {"1": "a", "no": "b"}


def test_lines_of_values(tmp_path: Path) -> None:
    document = read(tmp_path, "a: 1\nb:\n  c: {d: 2}\n  e:\n  - x\n")
    assert document.where("b.c.d") == "x.yaml:3"
    assert document.where("b.e.0.deep") == "x.yaml:4"
    assert document.where("nothing") == "x.yaml"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2\n", r"x\.yaml:2: 'a' is written twice"),
        ("a: &n {b: 1}\nc: *n\n", r"x\.yaml:1: aliases"),
        ("a: 1\nb: !!python/object/apply:os.system ['true']\n", r"x\.yaml:2: could not determine a constructor"),
        ("a: 1\n b: [1\n", r"x\.yaml:\d+: "),
        ("- a\n", "must hold a mapping"),
        ("", "must hold a mapping"),
        ("? [a]\n: 1\n", r"x\.yaml:1: a key must be a plain text"),
    ],
)
def test_refused_with_file_and_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read: No such file"):
        read_yaml(tmp_path / "absent.yaml")


def test_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path / "x.yaml")

"""Entries by name: sections, pins, providers, damaged files."""

from __future__ import annotations

from pathlib import Path

import pytest

from selma_core.catalog import Catalog
from selma_core.errors import AmbiguousNameError, ConfigError, ModelError, UnknownNameError
from selma_core.registry import SECTIONS, Registry
from tests.core.support import MakeRegistry


def test_names_and_summaries(make_registry: MakeRegistry) -> None:
    registry = make_registry({"skills/b.yaml": "summary: the b\n", "skills/a.yaml": "summary: the a\n"})
    assert registry.names("skills") == ["a", "b"]
    assert registry.summary("skills", "b") == "the b"
    assert registry.names("models") == []


def test_unknown_names(make_registry: MakeRegistry) -> None:
    registry = make_registry({"skills/count.yaml": "summary: s\n"})
    with pytest.raises(UnknownNameError, match="unknown skill 'cont'; did you mean 'count'"):
        registry.entry("skills", "cont")
    with pytest.raises(UnknownNameError, match="unknown registry section 'skill'; did you mean 'skills'"):
        registry.names("skill")


def test_same_name_in_two_sources(make_registry: MakeRegistry) -> None:
    mine = make_registry({"skills/count.yaml": "summary: mine\n"})
    yours = make_registry({"skills/count.yaml": "summary: yours\n"}, name="yours")
    both = Registry([*mine._sources, *yours._sources])
    with pytest.raises(AmbiguousNameError, match="write 'mine/count' or 'yours/count'"):
        both.entry("skills", "count")
    assert both.entry("skills", "yours/count").data["summary"] == "yours"


def test_pin_follows_the_data_and_not_the_words_about_it(make_registry: MakeRegistry) -> None:
    registry = make_registry(
        {
            "skills/a.yaml": "summary: one\nrules: [x]\n",
            "skills/b.yaml": "summary: two\nlicense: MIT\nrules: [x]\n",
            "skills/c.yaml": "summary: one\nrules: [y]\n",
        }
    )
    a, b, c = (registry.entry("skills", name).pin for name in "abc")
    assert a == b != c
    assert a.startswith("sha256:")


def test_pin_follows_the_content_of_the_file(make_registry: MakeRegistry) -> None:
    files = {"benchmarks/x.yaml": "summary: x\nfile: x.csv\n", "benchmarks/x.csv": "1\n"}
    first = make_registry(files).entry("benchmarks", "x")
    assert first.path is not None
    assert first.path.read_text() == "1\n"
    second = make_registry({**files, "benchmarks/x.csv": "2\n"}, name="other").entry("benchmarks", "x")
    assert first.pin != second.pin


def test_missing_file_is_named_with_its_line(make_registry: MakeRegistry) -> None:
    registry = make_registry({"benchmarks/x.yaml": "summary: x\nfile: x.csv\n"})
    with pytest.raises(ModelError, match=r"x\.yaml:2: the file .*x\.csv does not exist"):
        registry.entry("benchmarks", "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("rules: [x]\n", "needs 'summary'"), ("summary: [\n", r"x\.yaml:2: "), ("summary: 3\n", "needs 'summary'")],
)
def test_damaged_entry(make_registry: MakeRegistry, text: str, expected: str) -> None:
    registry = make_registry({"skills/x.yaml": text})
    with pytest.raises(ConfigError, match=expected):
        registry.entry("skills", "x")


def test_a_file_is_pinned_by_its_content(make_registry: MakeRegistry, tmp_path: Path) -> None:
    registry = make_registry({})
    (tmp_path / "a.txt").write_text("same")
    (tmp_path / "b.txt").write_text("same")
    a, b = (registry.entry("files", str(tmp_path / name)) for name in ("a.txt", "b.txt"))
    assert a.pin == b.pin
    with pytest.raises(UnknownNameError, match=r"c\.txt does not exist"):
        registry.entry("files", str(tmp_path / "c.txt"))


def test_every_bundled_entry_can_be_read(bundled: Catalog) -> None:
    registry = Registry(bundled.registry_sources())
    for section in SECTIONS:
        for name in registry.names(section):
            assert registry.summary(section, name)
    assert "count" in registry.names("skills")
    assert "shapes" in registry.names("recipes")

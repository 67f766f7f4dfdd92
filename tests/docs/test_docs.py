"""Nothing that a user can name lacks its place in the docs, and nothing in the docs is out of date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from selma_core.hookspecs import SelmaSpecs
from selma_core.kinds import KINDS


def headings(page: Path, level: int) -> set[str]:
    return set(re.findall(rf"^{'#' * level} (.+)$", page.read_text(), flags=re.MULTILINE))


def sections(page: Path, level: int) -> dict[str, str]:
    """Heading -> text below it, up to the next heading of the same or a higher level."""
    parts = re.split(rf"^#{{1,{level}}} (.+)$", page.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_hook_has_its_section(root: Path) -> None:
    found = sections(root / "docs/reference/hooks.md", 3)
    hooks = {name for name in vars(SelmaSpecs) if name.startswith("selma_")}
    assert {heading for heading in found if heading.startswith("selma_")} == hooks
    assert all(found[hook].strip() for hook in hooks)


def test_every_hook_names_its_record(root: Path) -> None:
    found = sections(root / "docs/reference/hooks.md", 3)
    for kind in KINDS:
        assert f"`{kind.record.__name__}`" in found[kind.hook]


def test_every_kind_has_its_section_with_its_ports(root: Path) -> None:
    found = sections(root / "docs/reference/kinds.md", 2)
    assert set(found) - {"Kinds"} == {kind.name for kind in KINDS}
    for kind in KINDS:
        text = found[kind.name]
        assert text.strip().startswith("Stage.") == kind.stage
        assert f"Stores `{kind.artifact}`" in text or not kind.artifact
        for port, artifact in kind.ports:
            assert f"`{port}: {artifact}`" in text, (kind.name, port)


def test_every_environment_variable_is_documented(root: Path) -> None:
    read = set()
    for path in [*(root / "selma_core").rglob("*.py"), *(root / "plugins").rglob("*.py")]:
        read |= set(re.findall(r"environ\S*[(\[]\"([A-Z_]+)\"", path.read_text()))
    page = (root / "docs/reference/environment.md").read_text()
    rows = set(re.findall(r"^\| `([A-Z_]+)` \|", page, flags=re.MULTILINE))
    assert read, "the pattern finds nothing any more"
    assert rows - {"OPENAI_API_KEY"} == read


def test_every_page_is_in_the_navigation(root: Path) -> None:
    listed = set(re.findall(r"^\s+- (\S+\.md)$", (root / "mkdocs.yml").read_text(), flags=re.MULTILINE))
    assert listed == {path.relative_to(root / "docs").as_posix() for path in (root / "docs").rglob("*.md")}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_and_paths_of_the_front_pages_exist(root: Path, page: str) -> None:
    text = (root / page).read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]
    paths = re.findall(r"`((?:docs|tests|constraints|\.ci|registry|plugins|selma_core)/[\w./-]*\w/?)`", text)
    assert [link for link in [*links, *paths] if not (root / link).exists()] == []

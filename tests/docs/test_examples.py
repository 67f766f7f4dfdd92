"""The files shown in README and how-tos work: plugins are found whole, recipes and ablations build their graphs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from selma_core.ablation import open_ablation
from selma_core.catalog import Catalog
from selma_core.session import open_session
from selma_core.testing import check_merge_strategy

FENCE = re.compile(r"^```(?:python|yaml)\n# (\S+\.(?:py|yaml))\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
PAGES = [
    "README.md",
    "docs/how-to/single_file_plugin.md",
    "docs/how-to/add_a_skill.md",
    "docs/how-to/write_an_ablation.md",
]


def unpack(root: Path, page: str, folder: Path) -> Mapping[str, Path]:
    """Writes the files that a page shows with their name in the first line."""
    found = {name: folder / name for name, _ in FENCE.findall((root / page).read_text())}
    for name, body in FENCE.findall((root / page).read_text()):
        found[name].parent.mkdir(parents=True, exist_ok=True)
        found[name].write_text(body)
    assert found, page
    return found


@pytest.mark.parametrize("page", PAGES)
def test_shown_files_work(root: Path, page: str, tmp_path: Path) -> None:
    files = unpack(root, page, tmp_path)
    plugins = [path for path in files.values() if path.suffix == ".py"]
    Catalog.discover(plugins, strict=True)
    for path in (path for path in files.values() if path.parent == tmp_path and path.suffix == ".yaml"):
        if {"variants", "measure"} & yaml.safe_load(path.read_text()).keys():
            assert len(open_ablation(path, store=tmp_path / "store").plan) > 20
        else:
            assert len(list(open_session(path, store=tmp_path / "store").graph)) > 20


@pytest.mark.parametrize(("page", "name"), [("README.md", "keep_first"), ("docs/how-to/single_file_plugin.md", "half")])
def test_shown_merge_strategies_merge(root: Path, page: str, name: str, tmp_path: Path) -> None:
    files = unpack(root, page, tmp_path)
    catalog = Catalog.discover([files[f"{name}.py"]])
    offer = catalog.find("merge_strategy", name)
    check_merge_strategy(catalog.load(offer), offer.record.options(), identity=False)


def test_the_new_skill_is_one_more_value_of_the_axis(root: Path, tmp_path: Path) -> None:
    files = unpack(root, "docs/how-to/add_a_skill.md", tmp_path)
    graph = open_session(files["with_weather.yaml"], store=tmp_path / "store").graph
    assert "expert[weather]" in {node.id for node in graph}


def test_readmes_plugin_is_as_short_as_it_says(root: Path, tmp_path: Path) -> None:
    text = unpack(root, "README.md", tmp_path)["keep_first.py"].read_text()
    assert len([line for line in text.splitlines() if line.strip()]) <= 15


def test_every_yaml_block_is_yaml(root: Path) -> None:
    pages = [root / "README.md", *(root / "docs").rglob("*.md")]
    blocks = [block for page in pages for block in re.findall(r"^```yaml.*?\n(.*?)^```", page.read_text(), re.M | re.S)]
    assert len(blocks) > 8
    for block in blocks:
        yaml.safe_load(block)

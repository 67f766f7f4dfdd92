"""The benchmarks that come with SELMA are the released files, and those that must not are not there."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from selma_plugins.benchmarks.read import contents, read_items

from selma_core.errors import ModelError
from selma_core.files import git_blob_file, sha256_file
from selma_core.registry import Registry

# `git ls-tree` of Karine-Huang/T2I-CompBench at 1b7094991a57f3c22abdd4f6e8ba6c1a15517073, examples/dataset
COMPBENCH = {
    "3d_spatial": "c799d256a56a68cea3fbc423d79c444c3819cf7a",
    "color": "700badf7bd0989c45eb307ff3573f127ecee0a53",
    "complex": "3667f7838c8ae5965ed4bd5bd8c32bff0604344a",
    "non_spatial": "046d5689c35fb1270fdce8aa003c068e4a360726",
    "numeracy": "f9246e9ceb6f58c578534f967108372823762fde",
    "shape": "b82835d72b25c2aa2962736f091fe04ee6a39a21",
    "spatial": "e453b999d311ddc47f303d389db02818b63a256c",
    "texture": "61d35c8e7127e530f221780fd117c905315ce00a",
}


def path_of(registry: Registry, name: str) -> Path:
    path = registry.entry("benchmarks", name).path
    assert path is not None
    return path


def test_geneval_is_the_released_file(registry: Registry) -> None:
    assert sha256_file(path_of(registry, "geneval")).startswith("5c48e0813e81")
    items = read_items(registry.entry("benchmarks", "geneval"))
    tags = {"position": 100, "color_attr": 100, "two_object": 99, "colors": 94, "single_object": 80, "counting": 80}
    assert Counter(item.group for item in items.values()) == tags
    assert len({item.text for item in items.values()}) == len(items) == 553
    assert list(items) == [f"{index:05d}" for index in range(553)]
    excluded = [item for item in items.values() if "exclude" in item.data]
    assert {item.group for item in excluded} == {"counting"}
    assert len(excluded) == 80
    for item in excluded:
        (wanted,), (forbidden,) = item.data["include"], item.data["exclude"]
        assert forbidden == {"class": wanted["class"], "count": wanted["count"] + 1}


def test_compbench_is_the_released_files(registry: Registry) -> None:
    folder = path_of(registry, "t2i_compbench")
    assert {file.stem.removesuffix("_val"): git_blob_file(file) for file in folder.glob("*.txt")} == COMPBENCH
    found = contents(registry.entry("benchmarks", "t2i_compbench"))
    assert found["groups"] == dict.fromkeys(COMPBENCH, 300)
    texts = {item.id: item.text for item in read_items(registry.entry("benchmarks", "t2i_compbench")).values()}
    assert texts["color_000"] == "a green bench and a blue bowl"


def test_dsg_counts(registry: Registry) -> None:
    found = contents(registry.entry("benchmarks", "dsg1k"))
    assert (found["prompts"], found["questions"], found["groups"]["tifa"]) == (1060, 8182, 160)


def test_downloads_are_pinned_to_a_commit_and_a_blob(registry: Registry) -> None:
    blobs = {"tifa": "6a563f9c157e5b2a24b9f4936edd3934a8a70add", "dpg": "98457fc9901943f51ff9a30367250fc292533bed"}
    for name, blob in blobs.items():
        (source,) = registry.sources("benchmarks", name)
        assert source.git_blob == blob
        assert source.where.startswith("https://raw.githubusercontent.com/")
        assert len(source.where.split("/")[5]) == 40
        with pytest.raises(ModelError, match=f"type: selma benchmarks fetch {name}$"):
            registry.entry("benchmarks", name)


def test_what_may_not_be_shipped_is_not_there(registry: Registry, root: Path) -> None:
    folder = root / "registry" / "selma_registry" / "benchmarks"
    assert not [path for path in folder.rglob("*") if "geneval2" in path.name and path.suffix != ".yaml"]
    for name in ("geneval2", "hpsv2"):
        with pytest.raises(ModelError, match=rf"benchmark '{name}' holds no data: .*name .* in place of '{name}'"):
            registry.entry("benchmarks", name)


def test_every_folder_of_others_data_has_its_licence(root: Path) -> None:
    folders = [path for path in (root / "registry" / "selma_registry" / "benchmarks").iterdir() if path.is_dir()]
    assert {folder.name for folder in folders} == {"dsg1k", "geneval", "t2i_compbench"}
    assert all((folder / "LICENSE").is_file() for folder in folders)


def test_git_blob_id_is_gits_own(tmp_path: Path) -> None:
    assert git_blob_file(_write(tmp_path / "empty", b"")) == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    big = _write(tmp_path / "big", bytes(range(256)) * 9000)
    told = subprocess.run(["git", "hash-object", "--no-filters", str(big)], capture_output=True, text=True, check=True)
    assert git_blob_file(big) == told.stdout.strip()


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_entries_state_what_a_listing_shows(registry: Registry) -> None:
    for name in registry.names("benchmarks"):
        data = registry.data("benchmarks", name)
        assert data["license"], name
        assert isinstance(data.get("images_per_prompt", 1), int), name
        json.dumps(data)

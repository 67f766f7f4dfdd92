"""Defect 10: adapters were named after the last part of their path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from selma_plugins.merging.linear import Linear

from selma_core.artifacts.adapter import adapter_file, read_layers, write_adapter
from selma_core.errors import ArtifactError
from selma_core.merging.files import MergePlan, merge_files
from selma_core.merging.options import MergeOptions


def _merged(folders: list[Path], out: Path) -> dict[str, Any]:
    files = [adapter_file(folder) for folder in folders]
    ids = [f"fingerprint-{place}" for place in range(len(files))]
    return merge_files(MergePlan(strategy=Linear(MergeOptions()), files=files, expert_ids=ids, base="tiny"), out)


def test_defect_10_two_experts_in_folders_of_one_name(make: Any, tmp_path: Path) -> None:
    """Equal last parts, dots and trailing slashes in paths: both experts are in the merge."""
    folders = [tmp_path / "count" / "v1.0", tmp_path / "relation" / "v1.0"]
    adapters = [make(seed=1), make(seed=2)]
    for folder, adapter in zip(folders, adapters, strict=True):
        folder.mkdir(parents=True)
        write_adapter(folder, adapter)
    out = tmp_path / "out.safetensors"
    card = _merged([Path(f"{folders[0]}/"), folders[1]], out)
    reader = read_layers(out)
    for layer in reader.names():
        factors = reader.factors(layer)
        wanted = sum(0.5 * a.tensors[f"{layer}.lora_B.weight"] @ a.tensors[f"{layer}.lora_A.weight"] for a in adapters)
        torch.testing.assert_close(factors.up @ factors.down, wanted)
    assert card["parents"] == ["fingerprint-0", "fingerprint-1"]


WEIGHTS = "pytorch_lora_weights.safetensors"


def _line(path: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        read_layers(path)
    line = str(caught.value)
    assert line.startswith(f"{path}")
    assert "\n" not in line
    return line.partition("no such file")[2]


@pytest.fixture
def experts(make: Any, tmp_path: Path) -> Path:
    """Two experts; one has seven steps, none of them the default 3000."""
    folder = tmp_path / "experts"
    for step in (500, 1000, 2000, 4000, 6000, 8000, 10000):
        (folder / "count" / f"checkpoint-{step}").mkdir(parents=True)
        write_adapter(folder / "count" / f"checkpoint-{step}", make(seed=1))
    (folder / "relation" / "checkpoint-2000").mkdir(parents=True)
    write_adapter(folder / "relation" / "checkpoint-2000", make(seed=2))
    (folder / "count" / "logs").mkdir()
    (folder / "notes.txt").write_text("x")
    return folder


@pytest.mark.parametrize("end", ["", WEIGHTS])
def test_defect_10_a_missing_adapter_is_named(experts: Path, end: str) -> None:
    """A missing step lists those that are there, nearest first."""
    steps = "checkpoint-2000, checkpoint-4000, checkpoint-1000, checkpoint-500, checkpoint-6000 and 2 more"
    assert _line(experts / "count" / "checkpoint-3000" / end) == f"; {experts / 'count'} holds {steps}"


def test_defect_10_a_missing_name_lists_those_that_are_there(experts: Path, make: Any) -> None:
    assert _line(experts / "cuont" / "checkpoint-2000" / WEIGHTS) == f"; {experts} holds count, relation"
    assert _line(experts / "relations") == f"; {experts} holds relation, count"
    (experts / "count" / "checkpoint-500" / WEIGHTS).rename(experts / "style.safetensors")
    assert _line(experts / "stlye.safetensors") == f"; {experts} holds style.safetensors, relation, count"
    steps = ", ".join(f"checkpoint-{step}" for step in (1000, 2000, 4000, 6000, 8000))
    assert _line(experts / "count") == f"; {experts / 'count'} holds {steps} and 1 more"
    assert _line(experts / "relation" / "checkpoint-2000" / "lora.safetensors") == (
        f"; {experts / 'relation' / 'checkpoint-2000'} holds {WEIGHTS}"
    )


def test_defect_10_a_missing_adapter_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    assert _line(tmp_path / "logs" / "x.safetensors") == ""
    assert _line(tmp_path / "a" / "b" / "c" / "d" / "x.safetensors") == ""

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


def test_defect_10_a_missing_adapter_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="checkpoint-3000") as caught:
        read_layers(tmp_path / "checkpoint-3000" / "pytorch_lora_weights.safetensors")
    assert "\n" not in str(caught.value)

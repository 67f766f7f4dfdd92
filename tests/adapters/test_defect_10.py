"""Defect 10: adapters were named after the last part of their path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from selma_plugins.merging.linear import Linear
from selma_plugins.merging.options import LinearOptions

from selma_core.artifacts.adapter import adapter_file, merge_adapters, read_card, read_layers, write_adapter
from selma_core.errors import ArtifactError


def _merged(folders: list[Path], out: Path) -> Path:
    out.mkdir()
    files = [adapter_file(folder) for folder in folders]
    ids = [f"fingerprint-{place}" for place in range(len(files))]
    merge_adapters(Linear(LinearOptions()), files, ids, "tiny", 0, out, lambda done, total: None)
    return out


def test_defect_10_two_experts_in_folders_of_one_name(make: Any, tmp_path: Path) -> None:
    """Equal last parts, dots and trailing slashes in paths: both experts are in the merge."""
    folders = [tmp_path / "count" / "v1.0", tmp_path / "relation" / "v1.0"]
    adapters = [make(seed=1), make(seed=2)]
    for folder, adapter in zip(folders, adapters, strict=True):
        folder.mkdir(parents=True)
        write_adapter(folder, adapter)
    out = _merged([Path(f"{folders[0]}/"), folders[1]], tmp_path / "out")
    reader = read_layers(out)
    for layer in reader.names():
        factors = reader.factors(layer)
        wanted = sum(0.5 * a.tensors[f"{layer}.lora_B.weight"] @ a.tensors[f"{layer}.lora_A.weight"] for a in adapters)
        torch.testing.assert_close(factors.up @ factors.down, wanted)
    assert read_card(out)["parents"] == ["fingerprint-0", "fingerprint-1"]


def test_defect_10_a_missing_adapter_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="checkpoint-3000") as caught:
        read_layers(tmp_path / "checkpoint-3000" / "pytorch_lora_weights.safetensors")
    assert "\n" not in str(caught.value)

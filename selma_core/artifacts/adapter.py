"""Adapters: `pytorch_lora_weights.safetensors` that plain diffusers loads, `adapter.json`, `curve.jsonl`.

The file holds PEFT-native keys, sorted, with the scale folded into B (so alpha equals the rank everywhere), and in its
header the smallest LoraConfig that diffusers accepts, for mixed ranks too. Tensors keep the type they are given in:
fp32 from the bundled trainers and merges, because an adapter is small and rounding is better done once, at fusing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selma_core.artifacts.jsonl import write_rows
from selma_core.artifacts.lora_keys import parse_name
from selma_core.artifacts.lora_merge import merge_adapters
from selma_core.artifacts.lora_reader import CONFIG_KEY, LayerReader, read_layers
from selma_core.artifacts.tensor_file import sort_metadata
from selma_core.errors import ArtifactError
from selma_core.files import write_bytes, write_json
from selma_core.protocols import TrainedAdapter

if TYPE_CHECKING:
    import torch

WEIGHTS = "pytorch_lora_weights.safetensors"
CARD = "adapter.json"
CURVE = "curve.jsonl"


def adapter_file(folder: Path) -> Path:
    """The LoRA file of an adapter folder."""
    return folder / WEIGHTS


def read_card(folder: Path) -> dict[str, Any]:
    """The adapter's metadata (`adapter.json`).

    Raises:
        ArtifactError: when it is missing or no JSON object.
    """
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder / CARD}: cannot be read ({error})") from None
    if not isinstance(card, dict):
        raise ArtifactError(f"{folder / CARD}: is {type(card).__name__}, must be an object")
    return card


def write_adapter(folder: Path, adapter: TrainedAdapter) -> None:
    """Writes the three files into an existing folder.

    Args:
        folder: where to.
        adapter: canonical tensors (`unet.<path>.lora_A.weight` [r, in] and `.lora_B.weight` [out, r], scale folded in).

    Raises:
        ArtifactError: for a tensor that is not canonical, or that holds NaN or infinity; the message names it.
    """
    from safetensors.torch import save

    tensors = {name: _checked(folder / WEIGHTS, name, adapter.tensors[name]) for name in sorted(adapter.tensors)}
    header = {"format": "pt", CONFIG_KEY: _config(tensors), "selma.manifest": _dump(adapter.metadata)}
    write_bytes(folder / WEIGHTS, sort_metadata(save(tensors, metadata=header)))
    write_json(folder / CARD, dict(adapter.metadata))
    write_rows(folder / CURVE, adapter.curve)


def _checked(file: Path, name: str, value: torch.Tensor) -> torch.Tensor:
    import torch

    found = parse_name(name, str(file))
    if name != f"{found.layer}.lora_{'A' if found.part == 'down' else 'B'}.weight":
        raise ArtifactError(f"{file}: tensor '{name}' is not in canonical form (`{found.layer}.lora_A.weight`)")
    if not bool(torch.isfinite(value).all()):
        raise ArtifactError(f"{file}: tensor '{name}' holds NaN or infinity")
    return value.detach().to("cpu").contiguous()


def _config(tensors: Mapping[str, torch.Tensor]) -> str:
    """The minimal LoraConfig per component, as diffusers reads it back; one unknown field would make it refuse."""
    ranks: dict[str, dict[str, int]] = {}
    for name, value in tensors.items():
        if name.endswith(".lora_A.weight"):
            component, path = name.removesuffix(".lora_A.weight").split(".", 1)
            ranks.setdefault(component, {})[path] = value.shape[0]
    config: dict[str, Any] = {}
    for component, of in ranks.items():
        # Ties go to the smaller rank, so that equal adapters give equal bytes.
        rank = min(Counter(of.values()).items(), key=lambda item: (-item[1], item[0]))[0]
        pattern = {} if len(set(of.values())) == 1 else _longest_first(of)
        fields: dict[str, Any] = {
            "r": rank,
            "lora_alpha": rank,
            "target_modules": sorted(of),
            "rank_pattern": pattern,
            "alpha_pattern": pattern,
            "use_dora": False,
            "use_rslora": False,
            "lora_bias": False,
        }
        config |= {f"{component}.{key}": value for key, value in fields.items()}
    return _dump(config)


def _longest_first(ranks: Mapping[str, int]) -> dict[str, int]:
    """PEFT takes the first key that matches the END of a module path: longer paths must come first."""
    return dict(sorted(ranks.items(), key=lambda item: (-len(item[0]), item[0])))


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), allow_nan=False)


__all__ = [
    "CARD",
    "CURVE",
    "WEIGHTS",
    "LayerReader",
    "adapter_file",
    "merge_adapters",
    "read_card",
    "read_layers",
    "write_adapter",
]

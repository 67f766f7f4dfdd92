"""Adapters: `pytorch_lora_weights.safetensors` that plain diffusers loads, `adapter.json`, `curve.jsonl`, and
`encoder.safetensors` where the text encoder learnt something (`selma_core.artifacts.encoder`).

The file holds PEFT-native keys, sorted, with the scale folded into B (so alpha equals the rank everywhere), and in its
header the smallest LoraConfig that diffusers accepts, for mixed ranks too. Tensors keep the type they are given in:
fp32 from the bundled trainers and merges, because an adapter is small and rounding is better done once, at fusing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selma_core.artifacts.encoder import CARD_KEY, learnt_file, write_learnt
from selma_core.artifacts.jsonl import write_rows
from selma_core.artifacts.lora_config import HEADER_KEY, WEIGHTS, minimal_fields
from selma_core.artifacts.lora_keys import parse_name
from selma_core.artifacts.lora_reader import LayerReader, read_layers
from selma_core.artifacts.tensor_reader import finite
from selma_core.artifacts.tensor_writer import TensorWriter
from selma_core.errors import ArtifactError
from selma_core.files import write_json
from selma_core.protocols import TrainedAdapter

if TYPE_CHECKING:
    import torch

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
    """Writes the files into an existing folder.

    Args:
        folder: where to.
        adapter: canonical tensors (`unet.<path>.lora_A.weight` [r, in] and `.lora_B.weight` [out, r], scale folded in).

    Raises:
        ArtifactError: for a tensor that is not canonical, or that holds NaN or infinity; the message names it.
            Learnt tensors of an encoder that the card does not name.
    """
    card = _with_encoder(folder, adapter)
    with AdapterWriter(folder / WEIGHTS) as writer:
        for name in sorted(adapter.tensors):
            writer.add(name, adapter.tensors[name])
        writer.finish(card)
    write_side_files(folder, card, adapter.curve)


def _with_encoder(folder: Path, adapter: TrainedAdapter) -> dict[str, Any]:
    """The card, with the hash of what the encoder learnt, after writing that."""
    card = dict(adapter.metadata)
    if adapter.encoder:
        if not card.get(CARD_KEY):
            raise ArtifactError(f"{folder}: the trainer gave tensors of a text encoder, but its card names none")
        sha256 = write_learnt(learnt_file(folder / WEIGHTS), adapter.encoder)
        card[CARD_KEY] = {**card[CARD_KEY], "sha256": sha256}
    return card


def write_side_files(folder: Path, metadata: Mapping[str, Any], curve: Iterable[Mapping[str, float]] = ()) -> None:
    """The card and the curve of an adapter folder, beside its LoRA file."""
    write_json(folder / CARD, dict(metadata))
    write_rows(folder / CURVE, curve)


class AdapterWriter(TensorWriter):
    """A LoRA file of the canonical form, written tensor by tensor; see `TensorWriter`."""

    def __init__(self, path: Path, room: int = 0) -> None:
        super().__init__(path, room)
        self._ranks: dict[str, dict[str, int]] = {}

    def add(self, name: str, value: torch.Tensor) -> None:
        """Appends a tensor in its own type.

        Raises:
            ArtifactError: its name is not canonical, or it holds NaN or infinity; the message names it.
        """
        _check(self.path, name, value)
        if name.endswith(".lora_A.weight"):
            component, path = name.removesuffix(".lora_A.weight").split(".", 1)
            # transformers 5.6 dropped this wrapper from CLIPTextModel; PEFT matches ends, so the rest fits either way.
            target = path.removeprefix("text_model.") if component.startswith("text_encoder") else path
            self._ranks.setdefault(component, {})[target] = value.shape[0]
        super().add(name, value)

    def finish(self, metadata: Mapping[str, Any]) -> None:
        """Puts the file in place; the header gets the smallest LoraConfig and `metadata` as `selma.manifest`."""
        super().finish({"format": "pt", HEADER_KEY: _config(self._ranks), "selma.manifest": _dump(metadata)})


def _check(file: Path, name: str, value: torch.Tensor) -> None:
    found = parse_name(name, str(file))
    if name != f"{found.layer}.lora_{'A' if found.part == 'down' else 'B'}.weight":
        raise ArtifactError(f"{file}: tensor '{name}' is not in canonical form (`{found.layer}.lora_A.weight`)")
    if not finite(value):
        raise ArtifactError(f"{file}: tensor '{name}' holds NaN or infinity")


def _config(ranks: Mapping[str, Mapping[str, int]]) -> str:
    """The minimal LoraConfig per component, as diffusers reads it back; one unknown field would make it refuse."""
    fields = {component: minimal_fields(of) for component, of in ranks.items()}
    return _dump({f"{component}.{key}": value for component, of in fields.items() for key, value in of.items()})


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), allow_nan=False)


__all__ = [
    "CARD",
    "CURVE",
    "WEIGHTS",
    "LayerReader",
    "adapter_file",
    "read_card",
    "read_layers",
    "write_adapter",
]

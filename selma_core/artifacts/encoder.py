"""The text encoder that an adapter was trained with: named in its card, and what it learnt in a file beside the LoRA.

An adapter and its encoder are one matched pair. The card's `encoder` (in `adapter.json` and in the LoRA file's header)
is `{use, options, sha256}`; `sha256` is that of the learnt tensors' file, absent when the encoder learnt nothing. What
the encoder needs to know of them besides (sizes, constants) stands in the card under the encoder's own name, and goes
wherever they go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from selma_core.artifacts.lora_config import WEIGHTS
from selma_core.artifacts.lora_manifest import read_manifest
from selma_core.artifacts.lora_reader import read_layers
from selma_core.artifacts.tensor_reader import finite
from selma_core.artifacts.tensor_writer import TensorWriter
from selma_core.errors import ArtifactError
from selma_core.files import sha256_file
from selma_core.options import Slot

if TYPE_CHECKING:
    import torch

CARD_KEY = "encoder"
LEARNT = "encoder.safetensors"


@attrs.frozen(kw_only=True)
class PairedEncoder:
    """Attributes: slot = plugin and options; learnt = the file of what it learnt, or None; about = what the card says
    under the plugin's name."""

    slot: Slot
    learnt: Path | None = None
    about: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def text(self) -> str:
        """As an error names it: `longalign {clip_len: 120}`."""
        options = ", ".join(f"{key}: {value}" for key, value in sorted(self.slot.options.items()))
        return f"{self.slot.use} {{{options}}}" if options else self.slot.use

    def used_as(self, slot: Slot, adjustable: Collection[str] = ()) -> Slot | None:
        """The same encoder as a slot asks for it: None when the slot names another one, or other options.

        Args: adjustable = options that may differ from those trained with; what the slot does not say stays.
        """
        mine, asked = (_without(one.options, adjustable) for one in (self.slot, slot))
        if (self.slot.use, mine) != (slot.use, asked):
            return None
        return Slot(self.slot.use, {**self.slot.options, **slot.options})

    @property
    def card(self) -> dict[str, Any]:
        """The card's fields that go with the learnt tensors, but for their hash: `encoder`, and what is `about` it."""
        return {CARD_KEY: card_entry(self.slot), **({_about_key(self.slot): dict(self.about)} if self.about else {})}


def learnt_file(adapter: Path) -> Path:
    """Where the learnt tensors of a LoRA file's encoder are: `encoder.safetensors`, or `NAME.encoder.safetensors`."""
    return adapter.with_name(LEARNT if adapter.name == WEIGHTS else f"{adapter.stem}.{LEARNT}")


def _about_key(slot: Slot) -> str:
    return slot.use.rpartition("/")[2]


def _without(options: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}


def card_entry(slot: Slot) -> dict[str, Any]:
    """The card's `encoder` for a trainer to write; `write_adapter` adds the hash of what was learnt."""
    return {"use": slot.use, "options": dict(slot.options)}


def paired_encoder(adapter: Path) -> PairedEncoder | None:
    """The encoder that a LoRA file (or an adapter's folder) names; None for the pipeline's own.

    Raises:
        ArtifactError: what the encoder learnt is missing or another file's.
    """
    reader = read_layers(adapter)
    card = read_manifest(reader.metadata)
    said = card.get(CARD_KEY)
    if not isinstance(said, Mapping) or not said.get("use"):
        return None
    slot = Slot(str(said["use"]), dict(said.get("options") or {}))
    if not said.get("sha256"):
        return PairedEncoder(slot=slot)
    about = card.get(_about_key(slot))
    file = learnt_file(reader.files[0])
    if not file.is_file():
        raise ArtifactError(f"{adapter}: what its text encoder '{slot.use}' learnt is missing; put it at {file}")
    if sha256_file(file) != said["sha256"]:
        raise ArtifactError(f"{file}: is not what was trained with {adapter.name}; take the file that came with it")
    return PairedEncoder(slot=slot, learnt=file, about=about if isinstance(about, Mapping) else {})


def common_encoder(adapters: Sequence[Path]) -> tuple[PairedEncoder | None, ...]:
    """The encoder of each of several adapters that are to be used or merged together.

    Raises:
        ArtifactError: they were trained with different ones; names two.
    """
    found = [(paired_encoder(adapter), adapter) for adapter in adapters]
    for (one, first), (other, second) in pairwise(found):
        if _named(one) != _named(other):
            raise ArtifactError(
                f"{first} was trained with text encoder {_named(one)}, {second} with {_named(other)}: "
                "they do not go together"
            )
    return tuple(encoder for encoder, _ in found)


def write_learnt(file: Path, tensors: Mapping[str, torch.Tensor]) -> str:
    """Writes what an encoder learnt, sorted by name; returns the file's sha256.

    Raises:
        ArtifactError: a tensor holds NaN or infinity; the message names it.
    """
    with TensorWriter(file) as writer:
        for name in sorted(tensors):
            if not finite(tensors[name]):
                raise ArtifactError(f"{file}: tensor '{name}' holds NaN or infinity")
            writer.add(name, tensors[name])
        writer.finish({"format": "pt"})
    return sha256_file(file)


def read_learnt(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of such a file.

    Raises:
        ArtifactError: it cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found: dict[str, torch.Tensor] = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{file}: cannot be read ({error})") from None
    return found


def _named(encoder: PairedEncoder | None) -> str:
    return "clip" if encoder is None else encoder.text

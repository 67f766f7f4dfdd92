"""The text encoder of a stage: the one its options name, or the one that its adapter was trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from selma_core.artifacts.encoder import PairedEncoder, card_entry, common_encoder, read_learnt
from selma_core.artifacts.lora_manifest import read_manifest
from selma_core.artifacts.lora_reader import read_layers
from selma_core.errors import ArtifactError
from selma_core.options import Slot
from selma_core.protocols import AdjustableEncoder, Context, LearntEncoder, TextEncoder

if TYPE_CHECKING:
    import torch

PLAIN = Slot("clip")
"""The pipeline's own text encoders: what is meant where nobody says otherwise."""


def chosen_slot(slot: Slot, adapters: Sequence[Path], context: Context) -> Slot:
    """The encoder to use: the adapters' own, else `slot`, else the pipeline's.

    Of the adapters' own, `slot` may change the options that the encoder calls adjustable (`AdjustableEncoder`).

    Raises:
        ArtifactError: `slot` names another one than the adapters were trained with, or these differ.
    """
    paired = _paired(adapters)
    if paired is None:
        return slot if slot.use else PLAIN
    if not slot.use:
        return paired.slot
    own = context.component("text_encoder", paired.slot)
    free = own.adjustable if isinstance(own, AdjustableEncoder) else ()
    used = paired.used_as(slot, free)
    if used is None:
        hint = f", or change only {', '.join(free)}" if free else ""
        raise ArtifactError(
            f"{adapters[0]} was trained with text encoder {paired.text}, not {PairedEncoder(slot=slot).text}; "
            f"leave text_encoder out to use its own{hint}"
        )
    return used


def encoder_for(slot: Slot, adapters: Sequence[Path], context: Context) -> TextEncoder:
    """`chosen_slot`, built, with what it learnt.

    Args: slot = the option `text_encoder`; adapters = LoRA files, none for the bare model.

    Raises:
        ArtifactError: as `chosen_slot`; the encoder takes no learnt tensors, or others; several adapters bring
            different ones.
    """
    encoder: TextEncoder = context.component("text_encoder", chosen_slot(slot, adapters, context))
    files = {one.learnt: None for one in common_encoder(adapters) if one is not None and one.learnt is not None}
    if not files:
        return encoder
    if len({file.read_bytes() for file in files}) > 1:
        listed = ", ".join(map(str, files))
        raise ArtifactError(f"the adapters bring different weights of their text encoder ({listed}); merge them first")
    if not isinstance(encoder, LearntEncoder):
        raise ArtifactError(f"{adapters[0]}: text encoder '{type(encoder).__name__}' takes no learnt weights")
    encoder.load_learnt(read_learnt(next(iter(files))), read_manifest(read_layers(adapters[0]).metadata))
    return encoder


def card_of(slot: Slot) -> dict[str, Mapping[str, Any]]:
    """The card's fields of the encoder that a trainer used; none for the pipeline's own."""
    return {} if slot == PLAIN else {"encoder": card_entry(slot)}


def pair_card(
    slot: Slot, adapters: Sequence[Path], context: Context, about: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The card's fields of a trainer's encoder: the one it used, and what is about it.

    Args: about = what a trainer says that taught the encoder; None = what the start adapter's card says.
    """
    paired, chosen = _paired(adapters), chosen_slot(slot, adapters, context)
    if chosen == PLAIN:
        return {}
    used = attrs.evolve(paired or PairedEncoder(slot=chosen), slot=chosen)
    return (used if about is None else attrs.evolve(used, about=about)).card


def passed_on(adapter: Path | None) -> dict[str, torch.Tensor]:
    """What the start adapter's encoder has learnt: a trainer that does not train it gives it on."""
    paired = None if adapter is None else _paired([adapter])
    return {} if paired is None or paired.learnt is None else read_learnt(paired.learnt)


def _paired(adapters: Sequence[Path]) -> PairedEncoder | None:
    found = common_encoder(adapters)
    return found[0] if found else None

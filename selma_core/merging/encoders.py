"""Merging adapters that were trained with a text encoder of their own: it must be the same one for all of them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selma_core.artifacts.encoder import (
    CARD_KEY,
    PairedEncoder,
    card_entry,
    common_encoder,
    read_learnt,
    write_learnt,
)
from selma_core.errors import ArtifactError, UserError
from selma_core.files import sha256_file
from selma_core.protocols import AveragesEncoders, MergeStrategy

if TYPE_CHECKING:
    import torch


def merge_encoders(
    strategy: MergeStrategy, files: Sequence[Path], weights: Sequence[float], out: Path
) -> dict[str, dict[str, Any]]:
    """Writes what the merged adapter's encoder has learnt, if anything; returns the card's fields for it.

    Equal tensors are copied. Different ones are averaged by the weights over their sum, because they are weights of a
    network and no deltas, and only by a strategy that says so.

    Args: files = the experts' LoRA files; out = where the learnt tensors go.

    Raises:
        ArtifactError: the experts were trained with different encoders, or their tensors do not fit together.
        UserError: their tensors differ and the strategy does not average them.
    """
    encoders = common_encoder(files)
    first = encoders[0] if encoders else None
    if first is None:
        return {}
    entry = card_entry(first.slot)
    _check_about(encoders)
    learnt = [encoder.learnt for encoder in encoders if encoder is not None and encoder.learnt is not None]
    if not learnt:
        return {CARD_KEY: entry}
    if len(learnt) < len(files):
        raise ArtifactError(f"only some of {len(files)} adapters bring what text encoder '{first.slot.use}' learnt")
    if len({sha256_file(file) for file in learnt}) == 1:
        shutil.copyfile(learnt[0], out)
        return {**first.card, CARD_KEY: {**entry, "sha256": sha256_file(out)}}
    if not (isinstance(strategy, AveragesEncoders) and strategy.averages_encoders):
        raise UserError(
            f"the adapters' text encoders ('{first.slot.use}') learnt different weights, which only a mean can merge; "
            "use the strategy linear"
        )
    return {**first.card, CARD_KEY: {**entry, "sha256": write_learnt(out, _mean(learnt, weights))}}


def _check_about(encoders: Sequence[PairedEncoder | None]) -> None:
    """Learnt tensors have a mean only where all are read alike: with equal sizes, constants, forms."""
    found = [encoder for encoder in encoders if encoder is not None]
    for one, other in pairwise(found):
        for name in dict.fromkeys([*one.about, *other.about]):
            if one.about.get(name) != other.about.get(name):
                raise ArtifactError(
                    f"the adapters' text encoders ('{one.slot.use}') differ in {name} ({one.about.get(name)}, "
                    f"{other.about.get(name)}): they do not go together"
                )


def _mean(files: Sequence[Path], weights: Sequence[float]) -> Mapping[str, torch.Tensor]:
    total = sum(weights)
    if total <= 0:
        raise UserError(f"merge: weights {list(weights)} do not sum to more than 0, so text encoders have no mean")
    sums: dict[str, torch.Tensor] = {}
    for file, weight in zip(files, weights, strict=True):
        tensors = read_learnt(file)
        shapes = {name: list(value.shape) for name, value in tensors.items()}
        if sums and shapes != {name: list(value.shape) for name, value in sums.items()}:
            raise ArtifactError(f"{file}: its tensors are not those of {files[0]}: encoders of different shapes")
        for name, value in tensors.items():
            term = value.float() * (weight / total)
            sums[name] = sums[name] + term if name in sums else term
    return sums

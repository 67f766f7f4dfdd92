"""From image files to atoms, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from selma_core.data import Atom, ImageItem
from selma_core.rewards import KEY, score_atom
from selma_plugins.preference.scorer import Scorer


@torch.no_grad()
def atoms_of(scorer: Scorer, items: Sequence[ImageItem], encoded: Sequence[Any], size: int) -> list[Atom]:
    """The atom of each image.

    A batch is always `size` images, the last one repeated where there are fewer: a kernel is chosen by the shape, so
    the value of an image is the same in the middle of a run and at its end.
    """
    opened = [_open(scorer, item) for item in items]
    good = [i for i, found in enumerate(opened) if not isinstance(found, Atom)]
    atoms = {i: found for i, found in enumerate(opened) if isinstance(found, Atom)}
    if good:
        filled = [*good, *[good[-1]] * (size - len(good))]
        pixels = torch.stack([opened[i] for i in filled]).to(scorer.device)  # type: ignore[misc]
        texts = [encoded[i] for i in filled]
        seen = scorer.see(pixels)
        parts = {name: values.float().tolist() for name, values in scorer.parts(seen, texts).items()}
        notes = scorer.notes(seen, texts)
        for row, i in enumerate(good):
            data = {name: values[row] for name, values in parts.items() if name != KEY}
            atoms[i] = score_atom(parts[KEY][row], {**data, **notes[row]})
    return [atoms[i] for i in range(len(items))]


def _open(scorer: Scorer, item: ImageItem) -> torch.Tensor | Atom:
    try:
        return scorer.open(item.path)
    except (OSError, ValueError, SyntaxError) as error:  # Pillow raises SyntaxError for a broken PNG
        return Atom(key=KEY, value=None, raw=f"cannot read {item.path.name}: {error}", status="error")

"""Denscore's model: a CLIP that reads a prompt sentence by sentence, and the split of what it says in two parts.

With x the image's unit feature, p the mean of the sentences' unit features and V a unit vector, the direction that all
texts have in common: x.p = x.p_perp + eta x.V, where eta = p.V and p_perp = p - eta V. The first part depends on the
text; the second is what any text would give the image. Source: LongAlign, arXiv 2410.11817, and its `loss.py`.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

from selma_core.errors import ArtifactError, UserError
from selma_core.rewards import KEY
from selma_plugins.preference.clip import ClipScorer

DIRECTION = "common_direction.safetensors"
"""A model's folder may hold V under this name, as tensor `direction` [D]."""

SMALLEST_BATCH = 8
"""V of fewer prompts is mostly the prompts themselves: of a single one V = p, and nothing relevant is left."""


class DenseScorer(ClipScorer):
    """`encode` gives (p [D], the sentences' features [N, D], V [D], omega []); V is NaN where the batch decides."""

    def encode(self, spec: Mapping[str, Any], texts: Sequence[str]) -> Any:
        """The sentences' features are averaged and not normalised again, so a dot product is the mean cosine."""
        sentences = self.features(texts)
        packed = spec.get("direction")
        along = torch.full_like(sentences[0], float("nan")) if packed is None else self._unpacked(packed)
        return sentences.mean(0), sentences, along, torch.tensor(float(spec["omega"]), device=self.device)

    def fit_common_direction(self, texts: Sequence[str]) -> torch.Tensor:
        """V [D]: the direction of the mean feature of some texts; mean(eta) over the same texts is the mean's norm."""
        return normalize(self.features(texts).mean(0), dim=0)

    def stored_direction(self, folder: Path) -> torch.Tensor | None:
        """V of a model's folder, or None.

        Raises:
            ArtifactError: it cannot be read, or is of another width.
        """
        path = folder / DIRECTION
        if not path.is_file():
            return None
        try:
            found = load_file(path)["direction"]
        except (OSError, KeyError, SafetensorError) as error:
            raise ArtifactError(f"{path}: holds no tensor 'direction' ({error})") from None
        if found.shape != (self.model.config.projection_dim,):
            raise ArtifactError(f"{path}: is {list(found.shape)}, but the model's features are [{self._width()}]")
        return normalize(found.float(), dim=0).to(self.device)

    def _width(self) -> int:
        return int(self.model.config.projection_dim)

    def _unpacked(self, text: str) -> torch.Tensor:
        return torch.from_numpy(np.frombuffer(b64decode(text), dtype="<f4").astype(np.float32)).to(self.device)

    def parts(self, seen: torch.Tensor, encoded: Sequence[Any]) -> dict[str, torch.Tensor]:
        """`score` = relevant + omega irrelevant; `total` = x.p; `relevant` = x.p_perp; `irrelevant` = eta x.V; `eta`.

        All are [B]; only what depends on the image has a gradient.

        Raises:
            UserError: V is to come from the batch, and that is too small.
        """
        texts, along, omega = (torch.stack([one[place] for one in encoded]) for place in (0, 2, 3))
        if bool(along.isnan().any()):
            along = common_to(texts)
        eta = (texts * along).sum(-1)
        total = (seen * texts).sum(-1)
        irrelevant = eta * (seen * along).sum(-1)
        relevant = total - irrelevant
        score = relevant + omega * irrelevant
        return {KEY: score, "total": total, "relevant": relevant, "irrelevant": irrelevant, "eta": eta}

    def notes(self, seen: torch.Tensor, encoded: Sequence[Any]) -> list[dict[str, Any]]:
        """`sentences`: the cosine of each; `relevant_sentences`: its relevant part. Their means are the image's."""
        return [_by_sentence(image, one[1], one[2]) for image, one in zip(seen, encoded, strict=True)]


def common_to(texts: torch.Tensor) -> torch.Tensor:
    """V of a batch of prompts' features [B, D], as the released training takes it.

    Raises:
        UserError: the batch is too small to have anything in common but its own texts.
    """
    different = len({tuple(row) for row in texts.tolist()})
    if different < SMALLEST_BATCH:
        raise UserError(
            f"denscore: common: batch needs at least {SMALLEST_BATCH} prompts at once, not {different}; "
            "raise batch_size, or set common: stored"
        )
    return normalize(texts.mean(0), dim=0).expand_as(texts)


def pack(direction: torch.Tensor) -> str:
    """V as base64 of little-endian fp32: JSON, and exact."""
    return b64encode(direction.cpu().numpy().astype("<f4").tobytes()).decode()


def save_direction(folder: Path, direction: torch.Tensor) -> None:
    """Puts V into a model's folder."""
    save_file({"direction": direction.detach().float().cpu().contiguous()}, folder / DIRECTION)


def _by_sentence(image: torch.Tensor, sentences: torch.Tensor, along: torch.Tensor) -> dict[str, list[float]]:
    cosines = sentences @ image
    relevant = cosines - (sentences @ along) * (along @ image)
    return {"sentences": cosines.tolist(), "relevant_sentences": relevant.tolist()}

"""Denscore's model: a CLIP that reads a prompt sentence by sentence."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from selma_core.rewards import KEY
from selma_plugins.preference.clip import ClipScorer


class DenseScorer(ClipScorer):
    """`encode` gives (feature [D] of the prompt, features [N, D] of its sentences)."""

    def encode(self, spec: Mapping[str, Any], texts: Sequence[str]) -> Any:
        """The sentences' features are averaged and not normalised again, so a dot product is the mean cosine."""
        sentences = self.features(texts)
        feature = sentences.mean(0)
        if "direction" in spec:
            along = self._unpacked(spec["direction"]).to(feature.dtype)
            feature = feature - (1 - float(spec["reweight"])) * (feature @ along) * along
        return feature, sentences

    def direction(self, texts: Sequence[str]) -> str:
        """The direction of the mean feature of some texts, as base64 of little-endian fp32: JSON, and exact."""
        mean = normalize(self.features(texts).mean(0), dim=0)
        return b64encode(mean.cpu().numpy().astype("<f4").tobytes()).decode()

    def _unpacked(self, text: str) -> torch.Tensor:
        return torch.from_numpy(np.frombuffer(b64decode(text), dtype="<f4").astype(np.float32)).to(self.device)

    def parts(self, seen: torch.Tensor, encoded: Sequence[Any]) -> dict[str, torch.Tensor]:
        """`score` [B]."""
        return {KEY: (seen * torch.stack([feature for feature, _ in encoded])).sum(-1)}

    def notes(self, seen: torch.Tensor, encoded: Sequence[Any]) -> list[dict[str, Any]]:
        """`sentences`: the cosine of each."""
        return [
            {"sentences": (sentences @ image).tolist()} for image, (_, sentences) in zip(seen, encoded, strict=True)
        ]

"""A CLIP model as a scorer: cosines of an image with the texts of a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import normalize
from transformers import CLIPModel, CLIPTokenizer

from selma_core.data import Entry
from selma_core.errors import ModelError
from selma_core.protocols import Context
from selma_core.rewards import KEY
from selma_plugins.preference import open_clip, weights
from selma_plugins.preference.pixels import crop, crop_file
from selma_plugins.preference.scorer import Scorer
from selma_plugins.preference.weights import path_of, read_tensors, shared

CONFIG = "config.json"


def load_clip(context: Context, entry: Entry) -> Any:
    """The shared `CLIPModel` of an entry: a transformers folder (safetensors), or an open_clip checkpoint.

    Raises:
        ModelError: it is neither.
    """
    return shared(context, "CLIPModel", entry, lambda: _build(entry))


def load_tokenizer(entry: Entry) -> Any:
    """The CLIP tokenizer in an entry's folder.

    Raises:
        ModelError: it has none.
    """
    return weights.load_tokenizer(CLIPTokenizer, entry, [("tokenizer.json",), ("vocab.json", "merges.txt")])


def _build(entry: Entry) -> Any:
    folder = path_of(entry)
    if not (folder / CONFIG).is_file():
        return open_clip.build(read_tensors(entry), str(folder))
    try:
        return CLIPModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"cannot read the CLIP model {folder}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


class ClipScorer(Scorer):
    """`score` is the cosine of image and prompt; a subclass may make more of it.

    `encode` gives the L2-normalised text feature [D]; `see` the L2-normalised image features [B, D].
    """

    def __init__(self, model: Any, tokenizer: Any, pin: str) -> None:
        self.model, self.tokenizer, self.pin = model, tokenizer, pin
        weights.check_vocabulary(tokenizer, model.config.text_config.vocab_size, pin)
        self.limit = int(model.config.text_config.max_position_embeddings)
        self.side = int(model.config.vision_config.image_size)
        self.device = model.device

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens with both special ones."""
        return [len(ids) for ids in self.tokenizer(list(texts)).input_ids]

    @torch.no_grad()
    def features(self, texts: Sequence[str]) -> torch.Tensor:
        """[N, D], L2-normalised; one text at a time, so that none depends on another."""
        return torch.cat([self._feature(text) for text in texts])

    def _feature(self, text: str) -> torch.Tensor:
        # Padded to the end as all upstream scripts do; attention is causal, so padding changes nothing before it.
        tokens = self.tokenizer(
            [text], padding="max_length", truncation=True, max_length=self.limit, return_tensors="pt"
        ).to(self.device)
        found = self.model.get_text_features(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask)
        return normalize(found.pooler_output, dim=-1)

    def encode(self, spec: Mapping[str, Any], texts: Sequence[str]) -> Any:
        """[D]."""
        return self.features(texts)[0]

    def open(self, path: Path) -> torch.Tensor:
        """As transformers' CLIP image processor."""
        return crop_file(path, self.side)

    def shrink(self, images: torch.Tensor) -> torch.Tensor:
        """The same in torch."""
        return crop(images, self.side)

    def see(self, pixels: torch.Tensor) -> torch.Tensor:
        """[B, D]."""
        return normalize(self.model.get_image_features(pixel_values=pixels).pooler_output, dim=-1)

    def parts(self, seen: torch.Tensor, encoded: Sequence[Any]) -> dict[str, torch.Tensor]:
        """`score`: the cosines [B]."""
        return {KEY: (seen * torch.stack(list(encoded))).sum(-1)}


class ScaledClipScorer(ClipScorer):
    """`score` is exp(logit_scale) x cosine, one entry of CLIP's `logits_per_text`; `cosine` is beside it."""

    def parts(self, seen: torch.Tensor, encoded: Sequence[Any]) -> dict[str, torch.Tensor]:
        """`score` and `cosine`, [B] each."""
        cosine = super().parts(seen, encoded)[KEY]
        return {KEY: self.model.logit_scale.exp() * cosine, "cosine": cosine}

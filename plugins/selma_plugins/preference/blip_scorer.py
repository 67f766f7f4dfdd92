"""ImageReward as a scorer: its tokens, its pictures, its standardised value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import BertTokenizer

from selma_core.data import Entry
from selma_core.rewards import KEY
from selma_plugins.preference import weights
from selma_plugins.preference.blip import RewardBlip
from selma_plugins.preference.pixels import crop, crop_file
from selma_plugins.preference.scorer import Scorer

TOKENS = 35
MEAN, DEVIATION = 0.16717362830052426, 1.0333394966054072


def load_tokenizer(entry: Entry) -> Any:
    """BERT's tokenizer with BLIP's two tokens [DEC] and [ENC] at the end of the vocabulary.

    Raises:
        ModelError: the folder holds none.
    """
    tokenizer = weights.load_tokenizer(BertTokenizer, entry, [("tokenizer.json",), ("vocab.txt",)])
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    tokenizer.add_tokens(["[ENC]"], special_tokens=True)
    return tokenizer


class BlipScorer(Scorer):
    """`encode` gives (ids [35], mask [35]); `see` the image's patch features [B, P, width]."""

    limit = TOKENS

    def __init__(self, model: RewardBlip, tokenizer: Any, pin: str) -> None:
        self.model, self.tokenizer, self.pin = model, tokenizer, pin
        weights.check_vocabulary(tokenizer, model.text.config.vocab_size, pin)
        self.side = int(model.vision.config.image_size)
        self.device = next(model.parameters()).device

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens with [CLS] and [SEP]."""
        return [len(ids) for ids in self.tokenizer(list(texts)).input_ids]

    def encode(self, spec: Mapping[str, Any], texts: Sequence[str]) -> Any:
        """(ids, mask), cut and padded to 35."""
        found = self.tokenizer(
            list(texts[:1]), padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt"
        ).to(self.device)
        return found.input_ids[0], found.attention_mask[0]

    def open(self, path: Path) -> torch.Tensor:
        """As the authors: torchvision's Resize (bicubic) and CenterCrop on the Pillow image."""
        return crop_file(path, self.side, "even")

    def shrink(self, images: torch.Tensor) -> torch.Tensor:
        """The same in torch."""
        return crop(images, self.side, "even")

    def see(self, pixels: torch.Tensor) -> torch.Tensor:
        """[B, P, width]."""
        found: torch.Tensor = self.model.vision(pixel_values=pixels).last_hidden_state
        return found

    def parts(self, seen: torch.Tensor, encoded: Sequence[Any]) -> dict[str, torch.Tensor]:
        """`score` = the standardised value, `raw` = the head's."""
        ids, masks = (torch.stack(list(column)) for column in zip(*encoded, strict=True))
        raw = self.model(seen, ids, masks)
        return {KEY: (raw - MEAN) / DEVIATION, "raw": raw}

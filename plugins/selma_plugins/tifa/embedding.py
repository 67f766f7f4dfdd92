"""Sentence embeddings by plain transformers: mean pooling over the tokens, then unit length.

That is what `sentence-transformers/all-mpnet-base-v2` and `all-MiniLM-L6-v2` are without their own package.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer

from selma_core.errors import ModelError
from selma_core.pool import ModelKey, borrow
from selma_core.protocols import Context

_LONGEST = 384  # tokens that all-mpnet-base-v2 was trained on


class SentenceEncoder:
    """Texts -> unit vectors, in fp32. Each text is encoded by itself, so that no neighbour changes its vector."""

    def __init__(self, name: str, context: Context) -> None:
        entry = context.entry("models", name)
        if entry.path is None or not entry.path.is_dir():
            raise ModelError(f"the sentence encoder '{name}' must be a folder with a model and its tokenizer")
        folder, self._device = entry.path, context.device
        key = ModelKey(loader="transformers:AutoModel", pin=entry.pin, dtype="float32", device=self._device)
        self._model, self._tokenizer = borrow(context, key, lambda: _load(name, folder, self._device), self)
        self._known: dict[str, torch.Tensor] = {}
        self.limit: int = min(_LONGEST, getattr(self._model.config, "max_position_embeddings", _LONGEST) - 2)

    def count(self, text: str) -> int:
        """Tokens of a text, with the special ones, uncut."""
        return len(self._tokenizer(text).input_ids)

    def nearest(self, answer: str, choices: Sequence[str]) -> str:
        """The choice with the highest cosine similarity; the first of equals."""
        similarity = torch.stack([self.encode(choice) for choice in choices]) @ self.encode(answer)
        return choices[int(similarity.argmax())]

    @torch.no_grad()
    def encode(self, text: str) -> torch.Tensor:
        """The vector [D] of a text, on the CPU."""
        if text not in self._known:
            tokens = self._tokenizer(text, truncation=True, max_length=self.limit, return_tensors="pt").to(self._device)
            hidden = self._model(**tokens).last_hidden_state[0]
            mask = tokens["attention_mask"][0].unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * mask).sum(0) / mask.sum().clamp(min=1e-9)
            self._known[text] = torch.nn.functional.normalize(pooled, dim=0).cpu()
        return self._known[text]


def _load(name: str, folder: Path, device: str) -> tuple[Any, Any]:
    where: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **where)
        model = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, **where)
    except (OSError, ValueError, KeyError) as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"cannot read the sentence encoder {name}: {line}") from error
    return model.to(device).eval(), tokenizer

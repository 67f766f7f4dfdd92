"""Prompt embeddings, made once per text, one text at a time, so that they depend on nothing but the text."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from safetensors.torch import load, save

from selma_core.errors import UserError
from selma_core.files import make_folder, write_bytes
from selma_core.protocols import Counting, Embeddings, TextEncoder, TokenUse
from selma_core.records import NoOptions
from selma_plugins.encoders.clip import PipelineEncoder


class EmbeddingCache:
    """Embeddings by text, on the CPU: in memory, and in a folder when one is given.

    Args:
        encoder, pipeline: what makes them. folder: for resume, content addressed by the text; None = memory only.
        limit: how many are kept in memory; the oldest go first.
    """

    def __init__(self, encoder: TextEncoder, pipeline: Any, folder: Path | None = None, limit: int = 4096) -> None:
        self._encoder, self._pipeline, self._limit = encoder, pipeline, limit
        self._folder = None if folder is None else make_folder(folder)
        self._kept: OrderedDict[str, Embeddings] = OrderedDict()

    def get(self, text: str) -> Embeddings:
        """The embedding of one text, with a batch axis of 1."""
        found = self._kept.get(text)
        if found is None:
            found = self._read(text) or self._make(text)
            self._kept[text] = found
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        return found

    def batch(self, texts: Sequence[str]) -> Embeddings:
        """The embeddings of several texts, stacked."""
        return stack([self.get(text) for text in texts])

    def _make(self, text: str) -> Embeddings:
        made = self._encoder.encode(self._pipeline, [text])
        found = Embeddings(**{name: value.cpu() for name, value in _fields(made).items()})
        if self._folder is not None:
            write_bytes(self._path(self._folder, text), save({k: v.contiguous() for k, v in _fields(found).items()}))
        return found

    def _read(self, text: str) -> Embeddings | None:
        path = None if self._folder is None else self._path(self._folder, text)
        return Embeddings(**load(path.read_bytes())) if path is not None and path.is_file() else None

    @staticmethod
    def _path(folder: Path, text: str) -> Path:
        return folder / f"{hashlib.sha256(text.encode()).hexdigest()}.safetensors"


def stack(parts: Sequence[Embeddings]) -> Embeddings:
    """One batch from embeddings with a batch axis each.

    Raises:
        UserError: when their lengths or widths differ.
    """
    shapes = {tuple(part.hidden.shape[1:]) for part in parts}
    if len(shapes) != 1:
        raise UserError(f"the text encoder gives embeddings of different shapes {sorted(shapes)}; pad them alike")
    columns = [_fields(part) for part in parts]
    return Embeddings(**{name: torch.cat([column[name] for column in columns]) for name in columns[0]})


def warn_cut(
    pipeline: Any, texts: Iterable[str], warn: Callable[[str], None], encoder: TextEncoder | None = None
) -> list[TokenUse]:
    """One line when texts are longer than the encoder reads: their ends have no effect.

    Args: encoder = who reads them; None = the pipeline's own.

    Returns: what is read of each different text, in their sorted order; empty when the encoder cannot say.
    """
    every = sorted(set(texts))
    reader = PipelineEncoder(NoOptions()) if encoder is None else encoder
    used = list(reader.usage(pipeline, every) or ()) if isinstance(reader, Counting) else []
    long = [(text, use) for text, use in zip(every, used, strict=False) if use.dropped]
    if long:
        text, use = long[0]
        more = "; the text encoder 'chunked' reads on" if isinstance(reader, PipelineEncoder) else ""
        warn(
            f"{len(long)} of {len(every)} prompts are cut: {sum(use.dropped for _, use in long)} tokens have no effect "
            f"(first: '{text[:60]}', {use.tokens} tokens of {use.tokens + use.dropped} used){more}"
        )
    return used


def used_text(use: TokenUse) -> str:
    """`3 segments, 84 tokens`, and what is cut off."""
    parts = [f"{use.segments} segment{'s' if use.segments != 1 else ''}", f"{use.tokens} tokens"]
    return ", ".join([*parts, f"{use.dropped} tokens cut off"] if use.dropped else parts)


def _fields(embeddings: Embeddings) -> dict[str, torch.Tensor]:
    every = attrs.asdict(embeddings, recurse=False)
    return {name: value for name, value in every.items() if value is not None}

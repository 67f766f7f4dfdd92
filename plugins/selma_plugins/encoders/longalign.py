"""Each sentence of a prompt through CLIP alone, the rows of their words joined. Source: LongAlign, arXiv 2410.11817.

The rows of a segment are those of `[start] + words`; the end mark and the padding are dropped. Behind the text stands
`pad*`: the mean of the last 60 rows (of 77) of the encoding of an empty prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from selma_core.protocols import Embeddings, TokenUse
from selma_plugins.encoders.options import LongAlignOptions
from selma_plugins.encoders.sentences import split
from selma_plugins.encoders.towers import Rows, Tower, joined, one_vector, towers, zero_empty

# Of the 77 rows of an empty prompt the last 60 are averaged; for other limits the same share.
_MEANT, _OF = 60, 77


class LongAlignEncoder:
    """`selma_core.protocols.TextEncoder` and `Counting`, for pipelines with CLIP encoders only."""

    def __init__(self, options: LongAlignOptions) -> None:
        self._options = options

    @torch.no_grad()
    def encode(self, pipeline: Any, prompts: Sequence[str]) -> Embeddings:
        """hidden [B, clip_len, D]; pooled [B, P] for SDXL; `""` is one start mark and padding, or zeros where SDXL's
        config says so.

        Raises:
            UserError: for a pipeline with other encoders.
        """
        found = joined(towers(pipeline, self._options.max_tokens), prompts, self._rows)
        return zero_empty(pipeline, prompts, found)

    def usage(self, pipeline: Any, prompts: Sequence[str]) -> list[TokenUse]:
        """Segments, and the tokens of the words: those used, and those that are cut off."""
        tower = towers(pipeline, self._options.max_tokens)[0]
        return [self._use(tower, prompt) for prompt in prompts]

    def _use(self, tower: Tower, prompt: str) -> TokenUse:
        words = [tower.words(segment) for segment in split(prompt, self._options.splitter)]
        room, used = self._options.clip_len, 0
        for place, ids in enumerate(words):
            start, stop = self._kept(place, tower.marked(ids))
            rows = min(room, stop - start)
            used += min(max(0, rows - (1 - start)), len(ids), tower.limit - 2)
            room -= rows
        return TokenUse(segments=len(words), tokens=used, dropped=sum(map(len, words)) - used)

    def _kept(self, place: int, ids: Sequence[int]) -> tuple[int, int]:
        """First and last row (exclusive) that segment number `place` keeps of its marked ids."""
        start = 0 if self._options.keep_sot or place == 0 else 1
        return start, len(ids) - (1 if self._options.drop_eot else 0)

    def _rows(self, tower: Tower, prompt: str) -> Rows:
        options = self._options
        ids = [tower.marked(tower.words(segment)) for segment in split(prompt, options.splitter)]
        states, pooled = tower.run(ids, max(map(len, ids)))
        kept = []
        for place, one in enumerate(ids):
            start, stop = self._kept(place, one)
            kept.append(states[place, start:stop])
        rows = torch.cat(kept)[: options.clip_len]
        missing = options.clip_len - len(rows)
        if missing:
            rows = torch.cat([rows, self._pad(tower, rows)[None].expand(missing, -1)])
        return Rows(hidden=rows, pooled=one_vector(options.pooled, pooled, lambda: _whole(tower, prompt)))

    def _pad(self, tower: Tower, like: Tensor) -> Tensor:
        """[D]. Computed for each prompt that needs it: nothing is kept, so nothing can be another model's."""
        if self._options.pad == "zeros":
            return torch.zeros_like(like[0])
        states, _ = tower.run([tower.marked([])], tower.limit)
        return states[0, -max(1, tower.limit * _MEANT // _OF) :].mean(0)


def _whole(tower: Tower, prompt: str) -> Tensor | None:
    _, pooled = tower.run([tower.marked(tower.words(prompt))], tower.limit)
    return None if pooled is None else pooled[0]

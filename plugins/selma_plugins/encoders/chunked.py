"""Long prompts as they are commonly used today: blocks of 75 tokens, wherever that cuts, each with its marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from selma_core.protocols import Embeddings, TokenUse
from selma_plugins.encoders.options import ChunkedOptions
from selma_plugins.encoders.towers import Rows, Tower, joined, one_vector, towers, zero_empty


class ChunkedEncoder:
    """`selma_core.protocols.TextEncoder` and `Counting`, for pipelines with CLIP encoders only."""

    def __init__(self, options: ChunkedOptions) -> None:
        self._options = options

    @torch.no_grad()
    def encode(self, pipeline: Any, prompts: Sequence[str]) -> Embeddings:
        """hidden [B, blocks x limit, D]; pooled [B, P] for SDXL; blocks without words are those of an empty prompt.

        Raises:
            UserError: for a pipeline with other encoders.
        """
        found = joined(towers(pipeline, self._options.max_tokens), prompts, self._rows)
        return zero_empty(pipeline, prompts, found)

    def usage(self, pipeline: Any, prompts: Sequence[str]) -> list[TokenUse]:
        """Blocks with words in them, and the tokens of the words: those used, and those that are cut off."""
        tower = towers(pipeline, self._options.max_tokens)[0]
        room, found = tower.limit - 2, []
        for prompt in prompts:
            count = len(tower.words(prompt))
            blocks = min(self._options.blocks, max(1, -(-count // room)))
            used = min(count, room * blocks)
            found.append(TokenUse(segments=blocks, tokens=used, dropped=count - used))
        return found

    def _rows(self, tower: Tower, prompt: str) -> Rows:
        words, room, blocks = tower.words(prompt), tower.limit - 2, self._options.blocks
        ids = [tower.marked(words[start : start + room]) for start in range(0, room * blocks, room)]
        states, pooled = tower.run(ids, tower.limit)
        filled = max(1, min(blocks, -(-len(words) // room)))
        pooled = None if pooled is None else pooled[:filled]
        # The text cut at the limit is the first block.
        vector = one_vector(self._options.pooled, pooled, lambda: None if pooled is None else pooled[0])
        return Rows(hidden=states.flatten(0, 1), pooled=vector)

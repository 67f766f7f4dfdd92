"""Each sentence of a prompt through CLIP alone, the rows of their words joined. Source: LongAlign, arXiv 2410.11817.

The rows of a segment are those of `[start] + words`; the end mark and the padding are dropped. Behind the text stands
`pad*`: the mean of the last 60 rows (of 77) of the encoding of an empty prompt. With `t5`, adapted rows of the whole
prompt come after these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from selma_core.protocols import Context, Embeddings, TokenUse
from selma_plugins.encoders.options import LongAlignOptions
from selma_plugins.encoders.sentences import split
from selma_plugins.encoders.t5_branch import Learner, T5Branch, behind
from selma_plugins.encoders.towers import Rows, Tower, joined, one_vector, towers, zero_empty

# Of the 77 rows of an empty prompt the last 60 are averaged; for other limits the same share.
_MEANT, _OF = 60, 77


class LongAlignEncoder:
    """`selma_core.protocols.TextEncoder` and `Counting`, for pipelines with CLIP encoders only.

    With `t5` it is a `LearntEncoder` and a `TrainableEncoder` too: the T5 rows' adapter learns with the denoiser.
    """

    def __init__(self, options: LongAlignOptions) -> None:
        self._options = options
        # Where the T5 is may change; which one it is may not, and is checked.
        self.adjustable = () if options.t5 is None else ("t5",)
        self._context: Context | None = None
        self._branch: T5Branch | None = None

    def attach(self, context: Context) -> None:
        """Keeps the context, to find the T5."""
        self._context = context

    @torch.no_grad()
    def encode(self, pipeline: Any, prompts: Sequence[str]) -> Embeddings:
        """hidden [B, clip_len (+ t5_len), D]; pooled [B, P] for SDXL; `""` is one start mark and padding (and its T5
        rows), or zeros where SDXL's config says so.

        Raises:
            UserError: for a pipeline with other encoders; with `t5`, before an adapter was loaded.
            ArtifactError: the T5 adapter is for another model.
        """
        found = self._clip(pipeline, prompts)
        return found if self._options.t5 is None else behind(found, self._t5().rows(pipeline, prompts))

    def usage(self, pipeline: Any, prompts: Sequence[str]) -> list[TokenUse]:
        """Segments, and the tokens of the words: those used, and those that are cut off; with `t5`, of both readers
        together."""
        tower = towers(pipeline, self._options.max_tokens)[0]
        return [self._with_t5(self._use(tower, prompt), prompt) for prompt in prompts]

    def load_learnt(self, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
        """Takes over the T5 rows' adapter.

        Raises:
            ArtifactError: it does not fit its card, or was trained on another T5.
        """
        self._t5().load(tensors, card)

    def learner(self, pipeline: Any, seed: int) -> Learner | None:
        """The T5 rows' adapter, to be trained; None without `t5`."""
        if self._options.t5 is None:
            return None
        return attrs.evolve(self._t5().begin(pipeline, seed), clip=self._clip)

    def _t5(self) -> T5Branch:
        if self._branch is None:
            self._branch = T5Branch(self._options, self._context)
        return self._branch

    @torch.no_grad()
    def _clip(self, pipeline: Any, prompts: Sequence[str]) -> Embeddings:
        found = joined(towers(pipeline, self._options.max_tokens), prompts, self._rows)
        return zero_empty(pipeline, prompts, found)

    def _with_t5(self, use: TokenUse, prompt: str) -> TokenUse:
        if self._options.t5 is None:
            return use
        tokens, dropped = self._t5().usage(prompt)
        return attrs.evolve(use, tokens=use.tokens + tokens, dropped=use.dropped + dropped)

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

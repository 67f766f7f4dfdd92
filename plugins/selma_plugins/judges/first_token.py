"""Log-probabilities of answers from the distribution of the first token, over the whole vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from selma_plugins.chat.choices import from_top_tokens


class FirstToken:
    """Knows which tokens begin which texts. Built once per tokenizer; looking up costs no pass over the vocabulary."""

    def __init__(self, tokenizer: Any) -> None:
        self._ids: dict[str, list[int]] = {}
        for index in range(len(tokenizer)):
            text = tokenizer.decode([index]).strip().lower()
            if text:
                self._ids.setdefault(text, []).append(index)

    def logprobs(self, logits: Tensor, choices: Sequence[str], *, whole: bool = False) -> dict[str, float] | None:
        """Choice -> natural-log probability; see `selma_plugins.chat.choices.from_top_tokens` for what counts.

        Args:
            logits: [V], of the first token of the answer.
            whole: a choice that is one token counts by that token alone, not by its pieces, as T2I-CompBench counts.
        """
        values = logits.float().log_softmax(-1)
        found: dict[int, str] = {}
        for choice in choices:
            text = choice.strip().lower()
            one_token = whole and text in self._ids
            begins = [text] if one_token else [text[:end] for end in range(1, len(text) + 1)]
            found |= {index: begin for begin in begins for index in self._ids.get(begin, ()) if index < len(values)}
        if not found:
            return None
        ids = list(found)
        picked = values[ids].tolist()
        return from_top_tokens([(found[index], value) for index, value in zip(ids, picked, strict=True)], choices)

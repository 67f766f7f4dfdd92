"""Prompts of the bundled shapes world, written by its grammar."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core.data import Prompt, PromptBatch, Rejected
from selma_core.protocols import PromptJob
from selma_core.seeds import derive_seed
from selma_plugins.prompts.identity import prompt_id
from selma_plugins.prompts.options import GrammarOptions
from selma_plugins.shapes.grammar import held_out_texts, sample_prompts
from selma_plugins.shapes.words import MAX_WORDS, fits, unknown_words


class Grammar:
    """Distinct prompts of one skill. It is also `Bounded`: it refuses texts outside the world's vocabulary."""

    def __init__(self, options: GrammarOptions) -> None:
        self._options = options

    def prompts(self, job: PromptJob) -> Iterator[PromptBatch]:
        """Yields one batch with all prompts."""
        if job.done:
            return
        skill = self._options.skill
        found = sample_prompts(skill, self._options.n, derive_seed("grammar", job.context.seed), held_out_texts())
        yield PromptBatch(
            accepted=tuple(Prompt(id=prompt_id(skill, i), text=one.text, skill=skill) for i, one in enumerate(found))
        )

    def refuses(self, text: str) -> Rejected | None:
        """Rejects words that the world's models do not know, and texts too long for them."""
        unknown = unknown_words(text)
        if unknown:
            return Rejected(text=text, reason="vocabulary", detail=" ".join(dict.fromkeys(unknown)))
        return None if fits(text) else Rejected(text=text, reason="too_long", detail=f"above {MAX_WORDS} words")

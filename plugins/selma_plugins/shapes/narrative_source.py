"""The prompt source `shapes_narrative`: narrative prompts of the world, with the complex prompt of each."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from selma_core.data import Prompt, PromptBatch
from selma_core.protocols import PromptJob
from selma_core.seeds import derive_seed
from selma_plugins.prompts.identity import prompt_id
from selma_plugins.shapes.grammar import SKILLS, held_out_texts, sample_prompts
from selma_plugins.shapes.narrative import narratives
from selma_plugins.shapes.options import NarrativeOptions


class Narrative:
    """`selma_core.protocols.PromptSource`; `meta` holds `simple` and `complex`. Never a scene of its benchmark."""

    def __init__(self, options: NarrativeOptions) -> None:
        self._options = options

    def prompts(self, job: PromptJob) -> Iterator[PromptBatch]:
        """Yields one batch: narrative prompts, then ordinary ones, whose simple and complex prompts are the same."""
        if job.done:
            return
        options, seed = self._options, derive_seed("shapes-narrative", job.context.seed)
        ordinary = round(options.ordinary * options.n)
        told = narratives(options.n - ordinary, seed)
        pairs = [(one.narrative, one.plain) for one in told] + [(text, text) for text in _ordinary(ordinary, seed)]
        yield PromptBatch(
            accepted=tuple(
                Prompt(
                    id=prompt_id("narrative", number),
                    text=simple if options.text == "simple" else plain,
                    skill="narrative",
                    meta={"simple": simple, "complex": plain, "flip": False},
                )
                for number, (simple, plain) in enumerate(pairs)
            )
        )


def _ordinary(n: int, seed: int) -> list[str]:
    """Prompts as the world's models learnt them, skills in turn; none of a benchmark."""
    each = -(-n // len(SKILLS))
    columns = [sample_prompts(skill, each, seed, held_out_texts()) for skill in SKILLS]
    texts = [prompt.text for row in zip(*columns, strict=True) for prompt in row][:n]
    Random(seed).shuffle(texts)
    return texts

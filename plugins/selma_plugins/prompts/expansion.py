"""The state of an in-context expansion: what was accepted, and what that means for the next candidate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from selma_core.data import Prompt, PromptBatch, Rejected
from selma_core.seeds import derive_seed
from selma_plugins.prompts.identity import prompt_id
from selma_plugins.prompts.options import LlmSkillsOptions
from selma_plugins.prompts.rouge import RougePool
from selma_plugins.prompts.screen import Check, NotSeen, at_most, not_empty, unlike
from selma_plugins.prompts.skill import Skill


class Expansion:
    """Seeds and accepted prompts of one skill. It depends on the accepted prompts and their order only, so that it
    can be rebuilt from stored batches."""

    def __init__(
        self,
        skill: Skill,
        options: LlmSkillsOptions,
        benchmarks: RougePool,
        refuses: Callable[[str], Rejected | None] | None,
    ) -> None:
        self._skill, self._options = skill, options
        self._pool, self._seen = RougePool(), NotSeen()
        self.accepted: list[str] = []
        self.reasons: Counter[str] = Counter()
        for seed in skill.seeds:
            self._remember(seed)
        checks: list[Check | None] = [
            not_empty,
            self._seen,
            at_most(skill.max_words) if options.word_limit else None,
            refuses,
            unlike(benchmarks, options.decontaminate_max, "benchmark") if len(benchmarks) else None,
            unlike(self._pool, options.rouge_max, "rouge"),
        ]
        self._checks = [check for check in checks if check is not None]

    def full(self) -> bool:
        """Whether all wanted prompts are there."""
        return len(self.accepted) >= self._options.n

    def replay(self, batch: PromptBatch) -> None:
        """Takes over a stored batch."""
        for prompt in batch.accepted:
            self._accept(prompt.text)
        self.reasons.update(found.reason for found in batch.rejected)

    def demos(self, seed: int, request: int) -> list[str]:
        """The examples of a request, from its own random stream."""
        pool = [*self._skill.seeds]
        if self._options.demo_pool == "seeds+accepted":
            pool += self.accepted
        return Random(derive_seed("demos", seed, self._skill.name, request)).sample(pool, self._options.demos)

    def take(self, text: str, request: int) -> Prompt | Rejected:
        """Keeps a candidate, or says why not."""
        if self.full() and self._options.trim:
            return self._reject(Rejected(text=text, reason="surplus", detail=f"{self._options.n} prompts are kept"))
        found = next((bad for check in self._checks if (bad := check(text)) is not None), None)
        if found is not None:
            return self._reject(found)
        index = len(self.accepted)
        self._accept(text)
        skill = self._skill
        meta = {"request": request, **skill.meta()}
        return Prompt(id=prompt_id(skill.label, index), text=text, skill=skill.label, meta=meta)

    def take_all(self, candidates: Sequence[tuple[int, str]], lost: Sequence[Rejected]) -> PromptBatch:
        """A batch from (request, candidate) pairs, and from replies that were `lost`."""
        results = [self._reject(found) for found in lost]
        taken = [self.take(text, request) for request, text in candidates]
        return PromptBatch(
            accepted=tuple(found for found in taken if isinstance(found, Prompt)),
            rejected=(*results, *(found for found in taken if isinstance(found, Rejected))),
        )

    def counts(self) -> str:
        """`rouge 12, vocabulary 3`, the most frequent first."""
        return ", ".join(f"{reason} {count}" for reason, count in self.reasons.most_common()) or "none"

    def _accept(self, text: str) -> None:
        self.accepted.append(text)
        self._remember(text)

    def _remember(self, text: str) -> None:
        self._pool.add(text)
        self._seen.add(text)

    def _reject(self, found: Rejected) -> Rejected:
        self.reasons[found.reason] += 1
        return found

"""In-context expansion: a language model writes more prompts like a few examples (SELMA, stage 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from selma_core.data import ChatReply, ChatRequest, Message, PromptBatch, Rejected
from selma_core.errors import ConfigError, StageError
from selma_core.protocols import ChatModel, Context, PromptJob
from selma_core.seeds import derive_seed
from selma_plugins.benchmarks.read import read_items
from selma_plugins.prompts.expansion import Expansion
from selma_plugins.prompts.options import LlmSkillsOptions
from selma_plugins.prompts.parser import parse_list, parse_released
from selma_plugins.prompts.request import WORDINGS
from selma_plugins.prompts.rouge import RougePool
from selma_plugins.prompts.screen import Bounded
from selma_plugins.prompts.skill import Skill, read_skill

TOKENS_PER_WORD = 2  # with room for the numbering


class LlmSkills:
    """Asks a chat model for more prompts of a skill until `n` are kept.

    One batch is `options.requests` requests. Request i draws its examples and its seed from (run seed, skill, i), and
    the pool it draws from is that of the batches before: a resumed run goes on as an uninterrupted one would.
    """

    def __init__(self, options: LlmSkillsOptions) -> None:
        self._options = options

    def prompts(self, job: PromptJob) -> Iterator[PromptBatch]:
        """Yields one batch per round of requests.

        Raises:
            StageError: no request of a round was answered, or `give_up` requests in a row gave no new prompt.
        """
        options, context = self._options, job.context
        skill = read_skill(context.entry("skills", options.skill), options.demos)
        state = Expansion(skill, options, _benchmarks(options.decontaminate, context), self._refuses(context))
        for batch in job.done:
            state.replay(batch)
        if state.full():
            return
        chat: ChatModel = context.component("chat_model", options.chat)
        barren = 0
        for number in range(len(job.done), 10**9):
            first = number * options.requests
            batch = self._round(chat, state, skill, context, range(first, first + options.requests))
            context.progress(min(len(state.accepted), options.n), options.n, f"rejected: {state.counts()}")
            yield batch
            if state.full():
                return
            barren = 0 if batch.accepted else barren + options.requests
            if barren >= options.give_up:
                raise StageError(
                    f"llm_skills: {barren} requests in a row gave no new prompt for skill '{skill.name}' "
                    f"({len(state.accepted)} of {options.n}; rejected: {state.counts()}); "
                    "lower n, raise temperature or rouge_max, or choose another chat model"
                )

    def _round(
        self, chat: ChatModel, state: Expansion, skill: Skill, context: Context, numbers: Sequence[int]
    ) -> PromptBatch:
        replies = chat.reply([self._request(state, skill, context.seed, i) for i in numbers])
        errors = [reply.error for reply in replies if reply.error is not None]
        if len(errors) == len(replies):
            raise StageError(f"llm_skills: no request was answered; {errors[0]}")
        if errors:
            context.warn(f"{len(errors)} of {len(replies)} requests were not answered: {errors[0]}")
        candidates = [
            (i, text)
            for i, reply in zip(numbers, replies, strict=True)
            if not reply.error
            for text in self._parse(reply)
        ]
        lost = [Rejected(text="", reason="no_reply", detail=error) for error in errors]
        return state.take_all(candidates, lost)

    def _request(self, state: Expansion, skill: Skill, seed: int, number: int) -> ChatRequest:
        options = self._options
        text = WORDINGS[options.request](skill, state.demos(seed, number), options.ask)
        if options.parser == "list":
            text += f"\n{options.demos + 1}."
        return ChatRequest(
            messages=(Message.user(text),),
            max_tokens=options.max_tokens or options.ask * (TOKENS_PER_WORD * skill.max_words + 8),
            temperature=options.temperature,
            seed=derive_seed("chat", seed, skill.name, number),
            # A model that only continues a text would go on for ever.
            stop=(f"\n{options.demos + options.ask + 1}.", "\n\n") if options.request == "list" else (),
        )

    def _parse(self, reply: ChatReply) -> list[str]:
        following = self._options.demos + 1
        if self._options.parser == "released":
            return parse_released(reply.text, following)
        return parse_list(reply.text, following, reply.truncated)[: self._options.ask]

    def _refuses(self, context: Context) -> Callable[[str], Rejected | None] | None:
        if not self._options.within.use:
            return None
        source = context.component("prompt_source", self._options.within)
        if not isinstance(source, Bounded):
            raise ConfigError(f"within: prompt source '{self._options.within.use}' cannot tell which texts are its own")
        return source.refuses


def _benchmarks(names: Sequence[str], context: Context) -> RougePool:
    pool = RougePool()
    for name in names:
        for prompt in read_items(context.entry("benchmarks", name)).values():
            pool.add(prompt.text)
    return pool

"""Conformance of prompt sources and chat models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from selma_core.data import ChatReply, ChatRequest, Message, PromptBatch
from selma_core.protocols import Context, PromptJob, PromptSource
from selma_core.testing.context import FakeContext
from selma_core.testing.require import require, require_json, require_protocol

_MOST_CUTS = 6


def check_prompt_source(
    factory: Callable[[Any], PromptSource],
    options: Any,
    *,
    workdir: Path,
    context: Context | None = None,
) -> tuple[PromptBatch, ...]:
    """Runs a source whole, again, and resumed after each of its first batches; returns the batches.

    Raises:
        ConformanceError: ids that repeat, texts that are empty, a run or a resume that gives something else.
    """
    context = context or FakeContext(workdir=workdir)
    require_protocol(factory(options), "prompt_source")
    whole = tuple(factory(options).prompts(PromptJob(context=context)))
    _check_batches(whole)
    again = tuple(factory(options).prompts(PromptJob(context=context)))
    require(again == whole, "the same options and seed gave other prompts; draw all randomness from context.seed")
    for cut in islice(range(1, len(whole)), _MOST_CUTS):
        rest = tuple(factory(options).prompts(PromptJob(context=context, done=whole[:cut])))
        require(
            rest == whole[cut:],
            f"resumed after {cut} batches it gave other prompts; rebuild all state from job.done, not from self",
        )
    return whole


def _check_batches(batches: Sequence[PromptBatch]) -> None:
    for batch in batches:
        require(isinstance(batch, PromptBatch), f"prompts() yielded a {type(batch).__name__}; yield PromptBatch")
    prompts = [prompt for batch in batches for prompt in batch.accepted]
    require(bool(prompts), "prompts() accepted nothing")
    ids = [prompt.id for prompt in prompts]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    require(not twice, f"prompt id '{twice[0] if twice else ''}' repeats; seeds and file names derive from it")
    for prompt in prompts:
        require(bool(prompt.id) and bool(prompt.text.strip()), f"prompt '{prompt.id}' has no id or no text")
        require_json(dict(prompt.meta), f"meta of prompt '{prompt.id}'")
    for rejected in (one for batch in batches for one in batch.rejected):
        require(bool(rejected.reason), f"rejected '{rejected.text[:40]}' has no reason")


def check_chat_model(factory: Callable[[Any], Any], options: Any, *, requests: Sequence[ChatRequest] = ()) -> None:
    """Asks a chat model nothing, one thing, and all `requests` twice.

    Args:
        requests: greedy ones that it can answer; by default two short questions.

    Raises:
        ConformanceError: replies in another number or order, text beside an error, greedy replies that differ.
    """
    model = factory(options)
    require_protocol(model, "chat_model")
    require(isinstance(model.identity, str) and bool(model.identity), "identity must be a text that names who answers")
    asked = tuple(requests) or tuple(
        ChatRequest(messages=(Message.user(text),), max_tokens=8) for text in ("Say yes.", "Say no.")
    )
    require(model.reply([]) == [], "reply([]) must be []")
    replies = model.reply(asked)
    require(isinstance(replies, list), f"reply() must return a list, not a {type(replies).__name__}")
    require(len(replies) == len(asked), f"{len(asked)} requests gave {len(replies)} replies; a failure is a reply too")
    for request, reply in zip(asked, replies, strict=True):
        _check_reply(request, reply)
    if all(request.temperature == 0 and reply.error is None for request, reply in zip(asked, replies, strict=True)):
        require(model.reply(asked) == replies, "greedy requests (temperature 0) gave other replies the second time")
        alone = model.reply([asked[-1]])
        require(alone[0].text == replies[-1].text, "a request alone got another reply than in a batch; check the order")


def _check_reply(request: ChatRequest, reply: Any) -> None:
    require(isinstance(reply, ChatReply), f"reply() gave a {type(reply).__name__}; give ChatReply")
    require(reply.error is None or reply.text == "", "a reply with an error must have no text: it is missing data")
    if reply.choice_logprobs is not None:
        unknown = sorted(set(reply.choice_logprobs) - set(request.choices))
        require(not unknown, f"choice_logprobs holds {unknown}, which were not asked for")
        high = [name for name, value in reply.choice_logprobs.items() if value > 1e-6]
        require(not high, f"choice_logprobs of {high} is above 0: natural logarithms of probabilities are wanted")

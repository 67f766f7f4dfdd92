"""Asking a chat model for something in a known form, again with another seed where the reply is of no use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import attrs

from selma_core.data import ChatReply, ChatRequest, Message
from selma_core.protocols import ChatModel
from selma_core.seeds import derive_seed
from selma_plugins.evaluation.asking import replies

T = TypeVar("T")

MAX_TOKENS = 1024
# The first try is greedy; a second one that is greedy too would only say the same again.
RETRY_TEMPERATURE = 0.7


class UnreadableError(ValueError):
    """A reply that cannot be used; one line that says why."""


@attrs.frozen
class Failed:
    """What became of a request whose replies were all of no use. Attributes: reason = of the last one."""

    reason: str


_NOT_ASKED = Failed("not asked")


@attrs.frozen
class Wanted(Generic[T]):
    """One thing to be had.

    Attributes: text = the request; seed = what it is about; read = its reply's content, raising `UnreadableError` for
    a reply that is of no use; whole = whether a reply that was cut is of no use either.
    """

    text: str
    seed: int
    read: Callable[[str], T]
    max_tokens: int = MAX_TOKENS
    stop: tuple[str, ...] = ()
    whole: bool = True


def ask_all(chat: ChatModel, wanted: Sequence[Wanted[T]], attempts: int) -> list[T | Failed]:
    """The content of one good reply to each request, in order; all requests of a round go to the model at once."""
    found: dict[int, T | Failed] = {}
    for attempt in range(attempts):
        left = [i for i in range(len(wanted)) if isinstance(found.get(i, _NOT_ASKED), Failed)]
        answers = replies(chat, [_request(wanted[i], attempt) for i in left])
        for i, reply in zip(left, answers, strict=True):
            content: T | Failed = _read(wanted[i], reply)
            found[i] = content
    return [found[i] for i in range(len(wanted))]


def _request(wanted: Wanted[T], attempt: int) -> ChatRequest:
    return ChatRequest(
        messages=(Message.user(wanted.text),),
        max_tokens=wanted.max_tokens,
        temperature=RETRY_TEMPERATURE if attempt else 0.0,
        seed=derive_seed("writing", wanted.seed, attempt),
        stop=wanted.stop,
    )


def _read(wanted: Wanted[T], reply: ChatReply) -> T | Failed:
    if reply.error is not None:
        return Failed(reply.error)
    if reply.truncated and wanted.whole:
        return Failed(f"the reply was cut at {wanted.max_tokens} tokens")
    try:
        return wanted.read(reply.text)
    except UnreadableError as error:
        return Failed(str(error))

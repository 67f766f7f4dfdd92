"""The judge of `segment_reward`: rates lists of things by a prompt; equal questions are asked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from selma_core.data import ChatReply, ChatRequest, Message
from selma_core.protocols import ChatModel, Context
from selma_plugins.evaluation.asking import replies
from selma_plugins.evaluation.rewards.options import SegmentRewardOptions
from selma_plugins.evaluation.rewards.replies import Rating, rating, read_rating

Question = tuple[str, tuple[str, ...]]
"""A prompt, and the labels of the things."""


@attrs.frozen(kw_only=True)
class Rated:
    """Attributes: raw = the judge's words; error = why there is no rating; unreadable = it was a reply in no format."""

    rating: Rating = attrs.field(factory=lambda: Rating(scores={}))
    raw: str | None = None
    error: str = ""
    unreadable: bool = False


class Rater:
    """Each question is one request by itself: what was asked before is never sent along."""

    def __init__(self, options: SegmentRewardOptions, context: Context) -> None:
        self._options = options
        self._judge: ChatModel = context.component("chat_model", options.judge)
        self._known: dict[Question, Rated] = {}

    @property
    def identity(self) -> str:
        """Who judges, for tables."""
        return self._judge.identity

    def rate(self, asked: Sequence[tuple[str, Sequence[str]]]) -> Mapping[Question, Rated]:
        """Question -> rating; nothing to rate (and nothing to miss) is not asked."""
        questions = list(dict.fromkeys((text, tuple(labels)) for text, labels in asked))
        new = [one for one in questions if one not in self._known]
        idle = [one for one in new if not one[1] and not self._options.recall]
        self._known |= {one: Rated() for one in idle}
        new = [one for one in new if one not in self._known]
        for one, reply in zip(new, replies(self._judge, [self._request(one) for one in new]), strict=True):
            self._known[one] = self._read(one, reply)
        return {one: self._known[one] for one in questions}

    def _request(self, question: Question) -> ChatRequest:
        text = rating(question[0], question[1], recall=self._options.recall)
        return ChatRequest(
            messages=(Message.user(text),), max_tokens=self._options.max_tokens, temperature=self._options.temperature
        )

    def _read(self, question: Question, reply: ChatReply) -> Rated:
        if reply.error is not None:
            return Rated(error=reply.error)
        try:
            found = read_rating(reply.text, question[1], recall=self._options.recall)
        except ValueError as error:
            return Rated(error=f"unreadable reply: {error}: {reply.text[:200]!r}", unreadable=True)
        return Rated(rating=found, raw=reply.text)

"""`caption_reward`: the image is captioned, and the caption compared with the prompt, text to text.

Source: FineRewards, arXiv 2305.19599v1, caption reward: cos(e(prompt), e(caption)) in the text tower of a CLIP.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from selma_core.averages import average_over_prompts
from selma_core.data import Atom, ChatReply, ChatRequest, ImageItem, ItemAtoms, Message, MetricInfo, Prompt, Summary
from selma_core.errors import UnknownNameError, did_you_mean
from selma_core.protocols import ChatModel, Context
from selma_core.rewards import KEY
from selma_plugins.evaluation.asking import Asked, ask
from selma_plugins.evaluation.rewards.options import CaptionRewardOptions
from selma_plugins.evaluation.rewards.similarity import TextSimilarity, make_similarity
from selma_plugins.vqa.groups import groups_of

RULES = ("cosine",)


class CaptionReward:
    """A spec is `{text, groups}`; an image has one atom, the cosine, whose words are the caption."""

    def __init__(self, options: CaptionRewardOptions) -> None:
        self._options = options
        self._judge = options.captioner.use
        self._limit: int | None = None

    @property
    def info(self) -> MetricInfo:
        """`judge` is the captioner's plugin until `observe` has met it, then its identity."""
        scale = f"cosine of caption and prompt by {self._options.similarity}; 1 = the same text"
        return MetricInfo(
            name="caption_reward",
            range=(-1.0, 1.0),
            rules=RULES,
            judge=self._judge,
            scale=scale,
            max_text_tokens=self._limit,
        )

    def prepare(self, prompts: Sequence[Prompt], context: Context) -> dict[str, Any]:
        """prompt id -> spec."""
        return {prompt.id: {"text": prompt.text, "groups": groups_of(prompt)} for prompt in prompts}

    def observe(self, items: Sequence[ImageItem], specs: Mapping[str, Any], context: Context) -> Iterator[ItemAtoms]:
        """One caption per image; a failed or empty caption is missing data. Texts too long are cut, and counted."""
        captioner: ChatModel = context.component("chat_model", self._options.captioner)
        similarity = make_similarity(self._options, context)
        self._judge, self._limit = captioner.identity, similarity.limit
        cut = {prompt for prompt, spec in specs.items() if similarity.cut(str(spec["text"]))}
        if cut:
            context.warn(
                f"caption_reward reads {similarity.limit} tokens of a text: it cuts {len(cut)} of {len(specs)} prompts"
            )

        def atom(asked: Asked, reply: ChatReply) -> Atom:
            return _atom(asked, reply, similarity)

        def questions(item: ImageItem) -> list[Asked]:
            return self._questions(item, specs)

        long = 0
        for row in ask(captioner, items, questions, atom, self._options.batch):
            long += any(one.data.get("cut", False) for one in row.atoms)
            yield row
        if long:
            context.warn(
                f"caption_reward reads {similarity.limit} tokens of a text: it cut {long} of {len(items)} captions"
            )

    def score(self, atoms: Sequence[Atom], spec: Any, rule: str) -> float | None:
        """The cosine; None where there is no caption."""
        if rule not in RULES:
            raise UnknownNameError(f"caption_reward has no rule '{rule}': {did_you_mean(rule, RULES)}")
        return next((atom.value for atom in atoms if atom.key == KEY and atom.status == "ok"), None)

    def aggregate(self, rows: Sequence[ItemAtoms], specs: Mapping[str, Any], rule: str) -> Summary:
        """The mean over prompts of the mean over their images."""
        return average_over_prompts(
            rows,
            specs,
            lambda row, spec: self.score(row.atoms, spec, rule),
            info=self.info,
            rule=rule,
            judge=self._options.captioner.use,
        )

    def _questions(self, item: ImageItem, specs: Mapping[str, Any]) -> list[Asked]:
        parts = (item.path, self._options.instruction) if self._options.instruction else (item.path,)
        request = ChatRequest(messages=(Message.user(*parts),), max_tokens=self._options.max_tokens)
        return [Asked(key=KEY, request=request, data={"text": str(specs[item.prompt.id]["text"])})]


def _atom(asked: Asked, reply: ChatReply, similarity: TextSimilarity) -> Atom:
    if reply.error is not None:
        return Atom(key=asked.key, value=None, raw=reply.error, status="error")
    caption = reply.text.strip()
    if not caption:
        return Atom(key=asked.key, value=None, raw="an empty caption", status="error")
    value = similarity.cosine(str(asked.data["text"]), caption)
    return Atom(key=asked.key, value=value, raw=caption, data={"cut": True} if similarity.cut(caption) else {})

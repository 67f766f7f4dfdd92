"""Pairs without scraping: images drawn from complex prompts get a simple caption by a chat model that sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from selma_core.artifacts.jsonl import Appender, repair
from selma_core.data import ChatReply, ChatRequest, ImageItem, Message
from selma_core.errors import StageError
from selma_core.protocols import SelectJob
from selma_plugins.sur.options import CaptionPairsOptions
from selma_plugins.sur.pairs import Pair


class CaptionPairs:
    """`selma_core.protocols.Selector`: keeps the images that got a caption, and adds the pair to their metadata.

    Captions are kept in the stage's working folder as they come, so a killed run asks only for what is missing.
    """

    def __init__(self, options: CaptionPairsOptions) -> None:
        self._options = options

    def select(self, job: SelectJob) -> Sequence[tuple[ImageItem, Mapping[str, Any]]]:
        """The captioned images, in order, each with who wrote its caption.

        Raises:
            StageError: the captioner gave no caption at all.
        """
        captions, captioner = self._captions(job)
        kept = [item for item in job.items if captions.get(item.item_id)]
        lost = len(job.items) - len(kept)
        if not kept:
            raise StageError(f"{captioner} gave no caption for any of {len(job.items)} images")
        if lost:
            job.context.warn(f"caption_pairs: {lost} of {len(job.items)} images got no caption and are left out")
        why = {"rule": "caption_pairs", "captioner": captioner}
        return [(_paired(item, captions[item.item_id]), why) for item in kept]

    def _captions(self, job: SelectJob) -> tuple[dict[str, str], str]:
        options, record = self._options, job.context.workdir / "captions.jsonl"
        captioner = job.context.component("chat_model", options.captioner)
        found = {row.take("sha256", str): row.take("caption", str) for row in repair(record)}
        left = [item for item in job.items if item.sha256 not in found]
        with Appender(record) as out:
            for start in range(0, len(left), options.batch_size):
                part = left[start : start + options.batch_size]
                for item, reply in zip(part, captioner.reply([self._request(one) for one in part]), strict=True):
                    caption = "" if reply.error else first_line(reply)
                    if caption:
                        found[item.sha256] = caption
                        out.add({"sha256": item.sha256, "caption": caption})
                job.context.progress(len(job.items) - len(left) + start + len(part), len(job.items))
        return {item.item_id: found.get(item.sha256, "") for item in job.items}, str(captioner.identity)

    def _request(self, item: ImageItem) -> ChatRequest:
        message = Message.user(item.path, self._options.instruction)
        return ChatRequest(messages=(message,), max_tokens=self._options.max_tokens)


def _paired(item: ImageItem, caption: str) -> ImageItem:
    """The item with its pair; what it was drawn from is the complex prompt."""
    meta = {**item.prompt.meta, **Pair(caption, item.prompt.text).meta()}
    return attrs.evolve(item, prompt=attrs.evolve(item.prompt, meta=meta))


def first_line(reply: ChatReply) -> str:
    """The first line that says something, without quotation marks."""
    lines = (line.strip().strip("\"'").strip() for line in reply.text.splitlines())
    return next((line for line in lines if line), "")

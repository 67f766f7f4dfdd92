"""Who looks at the images for `segment_reward`: a tagger, or a segmenter with or without a tagger before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from selma_core.data import ChatReply, ChatRequest, ImageItem, Message
from selma_core.options import Slot
from selma_core.protocols import ChatModel, Context
from selma_plugins.evaluation.asking import replies
from selma_plugins.evaluation.rewards.options import SegmentRewardOptions
from selma_plugins.evaluation.rewards.replies import TAGS, Thing, read_segments, read_tags, seeking


@attrs.frozen(kw_only=True)
class Seen:
    """What was seen in an image. Attributes: error = why nothing is known; unreadable = it was a reply in no format."""

    things: tuple[Thing, ...] = ()
    error: str = ""
    unreadable: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the things, in order."""
        return tuple(thing.label for thing in self.things)


class Viewer:
    """Attributes: identity = who looks, for tables. Every request is by itself: no turn of an earlier one is sent."""

    def __init__(self, options: SegmentRewardOptions, context: Context) -> None:
        self._options = options
        self._tagger = _model(options.tagger, context)
        self._segmenter = _model(options.segmenter, context) if options.reading == "segments" else None
        self.identity = " + ".join(model.identity for model in (self._tagger, self._segmenter) if model is not None)

    def look(self, items: Sequence[ImageItem]) -> list[Seen]:
        """One view per image, in order."""
        tagged = self._tags(items) if self._tagger is not None else [Seen() for _ in items]
        if self._segmenter is None:
            return tagged
        good = [place for place, view in enumerate(tagged) if not view.error]
        asks = [
            self._request(
                items[place], seeking(list(dict.fromkeys([*tagged[place].labels, *self._options.categories])))
            )
            for place in good
        ]
        found = dict(zip(good, (_read(r, read_segments) for r in replies(self._segmenter, asks)), strict=True))
        return [found.get(place, view) for place, view in enumerate(tagged)]

    def _tags(self, items: Sequence[ImageItem]) -> list[Seen]:
        assert self._tagger is not None
        asks = [self._request(item, TAGS) for item in items]
        return [_read(reply, read_tags) for reply in replies(self._tagger, asks)]

    def _request(self, item: ImageItem, text: str) -> ChatRequest:
        return ChatRequest(messages=(Message.user(item.path, text),), max_tokens=self._options.max_tokens)


def _model(slot: Slot, context: Context) -> ChatModel | None:
    found: ChatModel | None = context.component("chat_model", slot) if slot.use else None
    return found


def _read(reply: ChatReply, read: Callable[[str], tuple[Thing, ...]]) -> Seen:
    if reply.error is not None:
        return Seen(error=reply.error)
    try:
        return Seen(things=read(reply.text))
    except ValueError as error:
        return Seen(error=f"unreadable reply: {error}: {reply.text[:200]!r}", unreadable=True)
